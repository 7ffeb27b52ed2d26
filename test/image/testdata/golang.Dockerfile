FROM scratch
COPY . /
ENV PATH=/usr/local/go/bin:/bin GOPATH=/go GOCACHE=/go/cache GOTOOLCHAIN=local
