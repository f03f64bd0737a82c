"""Everything that only a GPU can show, in one script: python -m benchmarks.gpu"""
