# Builds the service and puts it, alone, into a small image. It runs as nobody in particular.

FROM rust:1.95-bookworm AS build
WORKDIR /everlog
COPY Cargo.toml Cargo.lock ./
COPY .cargo ./.cargo
COPY migrations ./migrations
COPY src ./src
RUN cargo build --release --locked --bin everlog

FROM debian:bookworm-slim
RUN useradd --system --uid 4100 --create-home --home-dir /data everlog
# For Postgres over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /everlog/target/release/everlog /usr/local/bin/everlog
WORKDIR /data
USER everlog
VOLUME /data
EXPOSE 4100
# It does not start before it is told who is let in: EVERLOG_AUTHENTICATE, or EVERLOG_ALLOW_UNAUTHENTICATED where the port
# is published to 127.0.0.1 only.
ENV EVERLOG_LISTEN=0.0.0.0:4100
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["everlog", "health"]
ENTRYPOINT ["everlog"]
CMD ["serve"]
