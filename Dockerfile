# Two images from source: `coordinator` (with the operators' command line beside it) and `agent`.
#
#   docker build --target coordinator -t faultline-coordinator .
#   docker build --target agent -t faultline-agent .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bins -p faultline-coordinator -p faultline -p faultline-agent \
 && mkdir /out \
 && cp target/release/faultline-coordinator target/release/faultline target/release/faultline-agent /out/

FROM debian:bookworm-slim AS base
# One number for all containers, so that an init step can read what the coordinator wrote for its owner only.
RUN useradd --system --uid 10001 --create-home --shell /usr/sbin/nologin faultline \
 && for dir in /data /state /operator /invites; do install -d -m 0700 -o faultline -g faultline "$dir"; done

FROM base AS agent
COPY --from=build /out/faultline-agent /usr/local/bin/
USER faultline
ENV FAULTLINE_AGENT_HOME=/state
VOLUME /state
ENTRYPOINT ["faultline-agent"]
CMD ["run"]

FROM base AS coordinator
COPY --from=build /out/faultline-coordinator /out/faultline /usr/local/bin/
COPY lists /usr/share/faultline/lists
USER faultline
ENV FAULTLINE_HOME=/operator
VOLUME /data
EXPOSE 7443 8080
HEALTHCHECK --interval=5s --timeout=5s --retries=12 CMD ["faultline", "incidents", "--json"]
ENTRYPOINT ["faultline-coordinator"]
CMD ["serve", "--data", "/data", "--listen", "0.0.0.0:7443", "--http", "0.0.0.0:8080"]
