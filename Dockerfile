# The server alone: the packages of the `serve` extra on the CPU, as an ordinary user.
#
#     docker build -t modelyard .
#     modelyard store share
#     docker run -p 127.0.0.1:9700:9700 --group-add "$(stat -c %g mlruns/releases)" -v "$PWD/mlruns/releases:/releases:ro" modelyard
#
# --build-arg EXTRAS=serve,grpc adds what gRPC (--grpc-port 9701) needs.
# The store is its owner's alone until `store share` opens the releases to a group, which the container's user is given.
# The server follows the alias files of the mounted folder, so a promotion outside is served inside. Anyone who reaches
# the port may ask: publish it to loopback as above, or mount a file of tokens and add --token-file.
FROM python:3.11-slim AS build
WORKDIR /build
ARG EXTRAS=serve
COPY pyproject.toml requirements.lock ./
# Pinned like the project itself; onnxruntime-gpu's CPU sibling has the same version numbers.
RUN sed -nE 's/^(onnxruntime)-gpu(==[^ ;]+).*/\1\2/p; s/^([A-Za-z0-9._-]+==[^ ;]+).*/\1/p' requirements.lock > constraints.txt \
 && python -c "import tomllib; known = tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']; \
extra = [one for name in '$EXTRAS'.split(',') for one in known[name]]; \
print('onnxruntime', *[one for one in extra if not one.startswith('onnxruntime')], sep='\n')" > serve.txt \
 && python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r serve.txt

FROM python:3.11-slim
COPY --from=build /venv /venv
COPY src /app/src
RUN useradd --uid 10001 --no-create-home modelyard && /venv/bin/python -m compileall -q /app/src
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app/src
USER modelyard
EXPOSE 9700
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
 CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9700/v2/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "modelyard.serving", "--releases", "/releases", "--host", "0.0.0.0"]
