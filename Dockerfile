# The server with the serve extra only: mount a release folder at /releases.
#   docker build -t modelyard-serving .
#   docker run -p 9700:9700 -v "$PWD/mlruns/releases:/releases:ro" modelyard-serving
FROM python:3.11-slim
COPY src /app/src
# onnxruntime's CPU package: a third of the GPU one, and an image without a GPU driver has no use for that
RUN pip install --no-cache-dir "httptools>=0.6.4" "numpy>=2.0" "onnxruntime>=1.22" "orjson>=3.10" "pillow>=11" \
    "uvicorn>=0.34" "uvloop>=0.21" && useradd --system server
ENV PYTHONPATH=/app/src
USER server
EXPOSE 9700
ENTRYPOINT ["python", "-m", "modelyard.serving", "--releases", "/releases", "--host", "0.0.0.0"]
