#!/usr/bin/env bash
# Build Kubernetes 1.20 from Debian's source package: API server, controller manager, scheduler, kubelet and
# the pause program; put etcd beside them. Run as root on Debian 12. Nothing is done if OUT exists.
#   tests/cluster/install.sh OUT
# The build needs 3 GB of disk space, which it frees, and about six minutes on two cores.
set -euo pipefail
out=$(realpath -m "$1") here=$(dirname "$(realpath "$0")")
test ! -e "$out" || exit 0
apt-get update --quiet=2
DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends \
    dpkg-dev golang-1.19-go golang-github-modern-go-reflect2-dev >/dev/null

mkdir -p "$(dirname "$out")"
work=$(mktemp --directory "$out.XXXXXX")
trap 'chmod --recursive u+w "$work"; rm -rf "$work"' EXIT
mkdir -p "$work"/{sources,lists/partial,gopath/src/k8s.io,programs}
cd "$work"

# The system's sources without source packages stay as they are.
sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >sources/debian.sources
from=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/sources" -o "Dir::State::Lists=$work/lists")
apt-get "${from[@]}" update --quiet=2
apt-get "${from[@]}" source --quiet=2 --download-only kubernetes
tar --extract --file kubernetes_*.orig.tar.gz
tree=$(echo "$work"/kubernetes-1.*)

# The reflect2 in the package crashes if it is built by Go 1.18 or newer.
rm -r "$tree/vendor/github.com/modern-go/reflect2"
cp --recursive --dereference /usr/share/gocode/src/github.com/modern-go/reflect2 "$tree/vendor/github.com/modern-go/"
rm "$tree"/vendor/github.com/modern-go/reflect2/*_test.go

export GOPATH=$work/gopath GOCACHE=$work/gocache GO111MODULE=off CGO_ENABLED=0 PATH=/usr/lib/go-1.19/bin:$PATH
ln -s "$tree" gopath/src/k8s.io/kubernetes
cd gopath/src/k8s.io/kubernetes

# The package lacks pkg/generated/openapi: write it.
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
tagged=$(grep --recursive --files-with-matches --include='*.go' '^// +k8s:openapi-gen=true' pkg staging/src/k8s.io |
    grep --invert-match _test.go | xargs --max-args 1 dirname | sort --unique |
    sed 's#^staging/src/#k8s.io/kubernetes/vendor/#; s#^pkg/#k8s.io/kubernetes/pkg/#' | paste --serial --delimiters ,)
"$work/openapi-gen" --output-file-base zz_generated.openapi --output-base "$GOPATH/src" --input-dirs "$tagged" \
    --output-package k8s.io/kubernetes/pkg/generated/openapi --report-filename "$work/violations" \
    --go-header-file hack/boilerplate/boilerplate.generatego.txt

version=k8s.io/component-base/version
go build -o "$work/programs/" \
    -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20" \
    ./cmd/kube-apiserver ./cmd/kube-controller-manager ./cmd/kube-scheduler ./cmd/kubelet
go build -o "$work/programs/pause" "$here/pause.go"

# Not installed, because the package would start a service.
cd "$work"
apt-get download --quiet=2 etcd-server
dpkg --extract etcd-server_*.deb etcd
mv etcd/usr/bin/etcd programs/
mv "$work/programs" "$out"
