"""`python -m modelyard.training OUT`: run the job in OUT/job.json; ends when its parent does."""

import ctypes
import signal
import sys
from pathlib import Path

from modelyard.training.job import serve_job

PR_SET_PDEATHSIG = 1  # prctl(2): the kernel kills this process when its parent is gone, even by SIGKILL

if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.exit(serve_job(Path(sys.argv[1])))
