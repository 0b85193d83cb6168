# The service and a redis-server for its embedded default. One volume: /data.
#
#   docker build --tag leaseq .
#   docker run --publish 127.0.0.1:8080:8080 --volume leaseq:/data --env LEASEQ_INSECURE_NO_AUTH=true leaseq
#
# Inside a container the service has to listen beyond loopback, and without API keys it refuses to unless told so: publish
# the port where only those who may do everything can reach it.

FROM rust:1-bookworm AS build
WORKDIR /build
# Dependencies first: a layer that changes with Cargo.lock only.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs && cargo build --release --locked
COPY . .
# The stubs are newer than what was just copied over them.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --bin leaseq

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates redis-server \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home leaseq \
    && install --directory --owner leaseq --group leaseq --mode 700 /data
COPY --from=build /build/target/release/leaseq /usr/local/bin/leaseq
ENV LEASEQ_LISTEN=0.0.0.0:8080 \
    LEASEQ_DATA_DIR=/data \
    LEASEQ_LOG=json
USER 10001
VOLUME /data
EXPOSE 8080
# No curl in here: bash speaks enough HTTP to ask whether the service is ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["leaseq"]
CMD ["serve"]
