# Sourced by checks: `need COMMAND PACKAGE` installs a missing tool, or says what is missing and fails.
need() {
  command -v "$1" > /dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "$2") > /dev/null 2>&1 || true
  fi
  command -v "$1" > /dev/null && return
  echo "missing: the command $1 (Debian package $2); install it to run this check" >&2
  exit 1
}
