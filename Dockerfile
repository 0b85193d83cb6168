# The service, with a redis-server for the embedded default. One volume: /data.
#
#   docker build --tag leaseq .
#   docker run --publish 127.0.0.1:8080:8080 --volume leaseq:/data --env LEASEQ_INSECURE_NO_AUTH=true leaseq
#
# Inside a container the service must listen beyond loopback, which it does only with LEASEQ_INSECURE_NO_AUTH,
# as there are no API keys yet. Publish the port only to clients that may have full access.

FROM rust:1-bookworm AS build
WORKDIR /build
# Dependencies first, in a layer that changes only with Cargo.lock.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs && cargo build --release --locked
COPY . .
# The stubs are newer than the files that replaced them, so cargo would not rebuild.
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
# The image has no curl. bash can send the request for readiness.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["leaseq"]
CMD ["serve"]
