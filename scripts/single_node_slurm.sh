#!/usr/bin/env bash
# Start or stop SLURM on this machine for the tests, from Debian's packages: `scripts/single_node_slurm.sh up` or `down`.
# Needs root. `up` prints a variable that SLURM's commands need; use it with `eval "$(scripts/single_node_slurm.sh up)"`.
set -euo pipefail

FOLDER=${TRAINYARD_SLURM:-/tmp/trainyard-slurm}
export SLURM_CONF=$FOLDER/slurm.conf

install() {
  command -v slurmctld slurmd munged > /dev/null && return
  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends slurm-wlm munge
}

configure() {
  mkdir -p "$FOLDER/state" "$FOLDER/spool"
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
SlurmdSpoolDir=$FOLDER/spool
SlurmctldPidFile=$FOLDER/slurmctld.pid
SlurmdPidFile=$FOLDER/slurmd.pid
SlurmctldLogFile=$FOLDER/slurmctld.log
SlurmdLogFile=$FOLDER/slurmd.log
SlurmdParameters=config_overrides
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
}

up() {
  install >&2
  configure
  mkdir -p /run/munge && chown munge: /run/munge
  pgrep -x munged > /dev/null || runuser -u munge -- munged
  [ -e "$FOLDER/slurmctld.pid" ] || slurmctld >&2
  [ -e "$FOLDER/slurmd.pid" ] || slurmd >&2
  for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ] && break
    sleep 0.5
  done
  sinfo >&2
  echo "export SLURM_CONF=$SLURM_CONF"
}

down() {
  for daemon in slurmd slurmctld; do
    process=$(cat "$FOLDER/$daemon.pid" 2> /dev/null) || continue
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
  *) echo "usage: $0 up|down" >&2 && exit 2 ;;
esac
