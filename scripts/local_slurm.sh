#!/usr/bin/env bash
# Start or stop SLURM on this machine for the tests, from Debian's packages: `scripts/local_slurm.sh up [NODES]` or `down`.
# Needs root. `up` prints a variable that SLURM's commands need; use it with `eval "$(scripts/local_slurm.sh up)"`.
# Each node, two by default, is a slurmd on this machine with a port of its own.
set -euo pipefail

NODES=${2:-2}
FOLDER=${TRAINYARD_SLURM:-/tmp/trainyard-slurm}
export SLURM_CONF=$FOLDER/slurm.conf

install() {
  command -v slurmctld slurmd munged > /dev/null && return
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge
}

configure() {
  mkdir -p "$FOLDER/state"
  cat > "$SLURM_CONF" << CONF
ClusterName=trainyard
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
StateSaveLocation=$FOLDER/state
SlurmdSpoolDir=$FOLDER/spool-%n
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd-%n.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd-%n.log
SlurmdParameters=config_overrides
NodeName=node[1-$NODES] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17001-$((17000 + NODES))] CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

up() {
  install >&2
  configure
  mkdir -p /run/munge && chown munge: /run/munge
  pgrep -x munged > /dev/null || runuser -u munge -- munged
  [ -e "$FOLDER/slurmctld.pid" ] || slurmctld >&2
  for number in $(seq "$NODES"); do
    [ -e "$FOLDER/slurmd-node$number.pid" ] || slurmd -N "node$number" >&2
  done
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && break
    sleep 0.5
  done
  sinfo >&2
  echo "export SLURM_CONF=$SLURM_CONF"
}

down() {
  for file in "$FOLDER"/slurmd-*.pid "$FOLDER/slurmctld.pid"; do
    process=$(cat "$file" 2> /dev/null) || continue
    kill "$process" 2> /dev/null || true
    for _ in $(seq 40); do  # wait until it has written its state; a zombie has
      grep -qs '^State:.[^Z]' "/proc/$process/status" || break
      sleep 0.25
    done
  done
  rm -rf "$FOLDER"
}

case ${1:-} in
  up | down) "$1" ;;
  *) echo "usage: $0 up [NODES]|down" >&2 && exit 2 ;;
esac
