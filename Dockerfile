# The reservation service alone. Secrets come from the environment or from files, never from the image:
#   docker build -t holdfast .
#   docker run -p 8080:8080 -e HOLDFAST_REDIS_URL=.. -e HOLDFAST_MYSQL_URL=.. -e HOLDFAST_ADMIN_TOKEN=.. holdfast
# The admin listener (8081) is not exposed on purpose: publish it on a private network only.

ARG BUILDER=rust:1.95-slim-bookworm
ARG RUNTIME=debian:bookworm-slim

FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release -p reference --bin reservation-service

FROM ${RUNTIME}
RUN useradd --system --no-create-home --uid 10001 holdfast
COPY --from=build /src/target/release/reservation-service /usr/local/bin/reservation-service
USER 10001
EXPOSE 8080
# SIGTERM: requests under way are answered, what is queued is written. Give it more than --drain-ms.
STOPSIGNAL SIGTERM
# Ready means that both stores answer. The base image has bash and no client for HTTP.
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8081; printf 'GET /health/ready HTTP/1.0\\r\\n\\r\\n' >&3; read -r _ code _ <&3; [ \"$code\" = 200 ]"]
ENTRYPOINT ["reservation-service", "--listen=0.0.0.0:8080", "--admin-listen=0.0.0.0:8081"]
