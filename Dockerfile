# One image for both daemons.   docker build -t postrider .   docker run -p 25:25 -p 587:587 -p 993:993 postrider
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup --yes build
COPY CMakeLists.txt CMakePresets.json ./
COPY scripts/lib/build scripts/lib/build
COPY common common
COPY store store
COPY mta mta
COPY imapd imapd
COPY mailctl mailctl
RUN scripts/lib/build release mta imapd mailctl && \
    mkdir /programs && \
    for name in mta/mta imapd/imapd mailctl/mailctl mailctl/sendmail; do \
        strip -o "/programs/${name##*/}" "build/release/$name"; \
    done

FROM debian:bookworm-slim
COPY scripts/setup /tmp/setup
RUN /tmp/setup --yes runtime && rm -rf /tmp/setup /var/lib/apt/lists/* && \
    useradd --system --uid 990 --home-dir /var/lib/postrider --create-home --shell /usr/sbin/nologin postrider
COPY --from=build /programs/ /usr/local/bin/
RUN for link in /usr/sbin/sendmail /usr/lib/sendmail /usr/bin/mailq /usr/bin/newaliases; do \
        ln -s /usr/local/bin/sendmail "$link"; \
    done
COPY scripts/docker-entrypoint scripts/docker-health /usr/local/bin/
USER postrider
WORKDIR /var/lib/postrider
# docker stop waits for ten seconds before it kills.
ENV POSTRIDER_SERVER_STATE=/var/lib/postrider/state POSTRIDER_SERVER_DRAIN_TIMEOUT=8s
VOLUME /var/lib/postrider
EXPOSE 25 465 587 143 993
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["docker-health"]
ENTRYPOINT ["docker-entrypoint"]
CMD ["both"]
