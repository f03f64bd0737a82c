"""`python -m modelyard.training OUT`: run the job in OUT/job.json; ends when its parent does."""

import signal
import sys
from pathlib import Path

from modelyard.machine.bound import bind_to_parent

if __name__ == "__main__":
    bind_to_parent(signal.SIGKILL)
    from modelyard.training.job import serve_job  # imports torch: the parent may end meanwhile

    sys.exit(serve_job(Path(sys.argv[1])))
