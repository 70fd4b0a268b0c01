# Sourced by the scripts that test containers and clusters: `skip` and `need`.

# skip REASON: leave the tests out, and say why; where they are required (REQUIRED=1) that is a failure.
skip() {
    echo "SKIPPED: $0: $1"
    [ "${REQUIRED:-0}" = 0 ] && exit 0
    echo 'which is an error, as REQUIRED is set'
    exit 1
}

# need PROGRAM=PACKAGE...: have these programs. As root on Debian 12 what is missing is installed.
need() {
    local one missing=()
    for one in "$@"; do
        command -v "${one%=*}" > /dev/null || missing+=("${one#*=}")
    done
    [ ${#missing[@]} = 0 ] && return
    grep -qs '^12' /etc/debian_version || skip "not Debian 12, and these are missing: ${missing[*]}"
    [ "$(id -u)" = 0 ] || skip "not root, and these packages are missing: ${missing[*]}"
    echo "installing ${missing[*]}"
    apt-get -qq update > /dev/null 2>&1 || skip "Debian's packages cannot be had (apt-get update)"
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        "${missing[@]}" > /dev/null || skip "these packages cannot be installed: ${missing[*]}"
}
