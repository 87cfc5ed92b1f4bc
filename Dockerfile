# syntax=docker/dockerfile:1
# Two stages: build with everything, run with little. The base is Debian 13, whose glibc (2.41) is new enough for uWebSockets.js.
#   docker build -t sluice .
#   docker run --rm -p 8080:8080 -v $PWD/sluice.yaml:/etc/sluice/sluice.yaml:ro sluice
ARG NODE_IMAGE=node:24-trixie-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# Without install scripts: the image brings Node itself, and esbuild's script only saves it a process.
RUN npm ci --ignore-scripts
COPY config config
COPY src src
# The build runs what it has built, as the user who will run it: V8's compiled code lies beside it, for that user and to be read only.
RUN chown 10001:10001 /build
USER 10001:10001
RUN node src/start/build.ts && dist/sluice --version && chmod -R a+rX dist

FROM ${NODE_IMAGE}
ENV NODE_ENV=production \
    SLUICE_RUN_DIR=/run/sluice
RUN groupadd --system --gid 10001 sluice \
 && useradd --system --uid 10001 --gid sluice --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin sluice \
 && install -d -m 0700 -o sluice -g sluice /run/sluice \
 && install -d /etc/sluice
WORKDIR /opt/sluice
COPY --from=build /build/package.json ./
COPY --from=build /build/dist dist
COPY config config
COPY config/sluice.yaml /etc/sluice/sluice.yaml
# A number, so that orchestrators can see that it is not root.
USER 10001:10001
EXPOSE 8080 8443
# SIGTERM drains; give it more than the configuration's drainTimeout: docker stop -t 40.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9901/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/opt/sluice/dist/sluice"]
CMD ["start", "-c", "/etc/sluice/sluice.yaml"]
