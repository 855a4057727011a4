#!/usr/bin/env bash
# Runs a small protocol on a real SLURM cluster of one node, this machine, and cancels a training:
#   sudo env "PATH=$PATH" workflow/profiles/slurm/try.sh
# Needs Debian or Ubuntu and root; installs slurm-wlm and munge if they are missing. The daemons
# have their own key, ports and folder, and end with the script. Their settings must be in
# /etc/slurm, because jobs do not keep SLURM_CONF; therefore a machine with SLURM settings is
# refused. The folder, printed first, is kept after a failure.
set -euo pipefail

fail() {
    printf 'try.sh: %s\n' "$*" >&2
    exit 1
}

say() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
[[ $EUID -eq 0 ]] || fail "expected root, which SLURM's daemons need, got user $EUID. Use sudo."
python -c "import snakemake_executor_plugin_slurm" 2>/dev/null ||
    fail "snakemake-executor-plugin-slurm: expected it installed for $(command -v python), got none. Use uv sync --group slurm."

export PATH=$PATH:/usr/sbin
settings=/etc/slurm/slurm.conf
[[ ! -e $settings && ! -L $settings ]] ||
    fail "$settings: expected a machine without SLURM, got one with these settings. Use a container."
missing=
for program in slurmctld slurmd munged; do
    command -v "$program" >/dev/null || missing=yes
done
if [[ $missing ]]; then
    say "Install SLURM"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge
fi

# munged refuses folders that others can write to, and its socket must be accessible.
folder=$(mktemp -d /tmp/denf-slurm.XXXXXX)
chmod 755 "$folder"
mkdir "$folder"/{munge,state,spool,suite}
daemons=()
workflow=
linked=
finish() {
    local code=$?
    # On SIGTERM, Snakemake would wait for its jobs.
    [[ -z $workflow ]] || kill -KILL "$workflow" 2>/dev/null || true
    if [[ ${#daemons[@]} -gt 0 ]]; then
        scancel --user root 2>/dev/null || true
        # slurmd does not end before slurmctld has registered the end of its jobs.
        for _ in {1..60}; do
            [[ -n $(squeue -h 2>/dev/null) ]] || break
            sleep 1
        done
        # In reverse order: each daemon needs those started before it.
        for ((k = ${#daemons[@]} - 1; k >= 0; k--)); do kill "${daemons[k]}" 2>/dev/null || true; done
        sleep 3
        kill -KILL "${daemons[@]}" 2>/dev/null || true
        wait
    fi
    [[ -z $linked ]] || rm -f "$settings"
    if [[ $code -eq 0 ]]; then rm -rf "$folder"; else printf 'Logs: %s\n' "$folder" >&2; fi
}
trap finish EXIT

say "Start SLURM in $folder"
# The port of slurmd follows that of slurmctld; the first free pair is used.
port=$(python - <<'PYTHON'
import socket

for port in range(26817, 27817, 2):
    with socket.socket() as one, socket.socket() as two:
        try:
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 1))
        except OSError:
            continue
    print(port)
    break
PYTHON
)
host=$(hostname -s)
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 400 "$folder/munge/key"
# Enough cores and memory for every request, possibly more than the machine has: the jobs are small.
cat >"$folder/slurm.conf" <<CONF
ClusterName=try
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CryptoType=crypto/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MinJobAge=600
KillWait=60
NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000
PartitionName=try Nodes=$host Default=YES MaxTime=24:00:00 State=UP
CONF
mkdir -p "$(dirname "$settings")"
ln -s "$folder/slurm.conf" "$settings"
linked=yes

munged --foreground --key-file="$folder/munge/key" --socket="$folder/munge/socket" \
    --pid-file="$folder/munge/pid" --seed-file="$folder/munge/seed" \
    --log-file="$folder/munge/log" &>"$folder/munge/output" &
daemons+=($!)
slurmctld -D &>"$folder/slurmctld.output" &
daemons+=($!)
slurmd -D -N "$host" &>"$folder/slurmd.output" &
daemons+=($!)

wait_for() { # what, seconds, command...
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@"; do
        ((SECONDS < end)) || fail "expected $what in time, got none"
        [[ -z $workflow ]] || kill -0 "$workflow" 2>/dev/null ||
            fail "expected $what, got the end of the workflow: $(tail -n 20 "$folder/workflow.log")"
        sleep 1
    done
}
node_is_idle() { sinfo -h -o %t 2>/dev/null | grep -qx idle; }
wait_for "an idle node" 60 node_is_idle

say "Run two experiments of config/ci.yaml"
cd "$folder/suite"
cp -R "$repository"/{Snakefile,workflow,config,baselines} .
# Long enough to be cancelled, with a saved state at every row of the history.
experiments='only=["denf", "control-tiles"]'
longer='overrides={"denf": {"training": {"steps": 200, "save_minutes": 0.001}}}'
python -m snakemake results/ci/index.html results/ci/tables/table1.md \
    --profile workflow/profiles/slurm --configfile config/ci.yaml \
    --config "$experiments" "$longer" --resources gpu=0 --latency-wait 10 --printshellcmds \
    --slurm-status-command squeue --slurm-init-seconds-before-status-checks 2 \
    &>"$folder/workflow.log" &
workflow=$!

states=results/runs/ci-clevr6/denf/.state/seed-0
# The folder is removed when the training ends, which is no error.
newest_state() { { find "$states" -name 'step-*.pt' -printf '%f\n' 2>/dev/null || true; } | sort | tail -n 1 | sed 's/step-0*\([0-9]*\).*/\1/'; }
has_state() { [[ -n $(newest_state) ]]; }
wait_for "a training's state" 1200 has_state
job=$(squeue -h -t R -o '%A %k' | awk '/ci-clevr6-denf-0/ {print $1; exit}')
[[ -n $job ]] || fail "expected the training's job in squeue, got: $(squeue -h -o '%A %t %k')"
scancel "$job"
ended() { [[ -z $(squeue -h -j "$job" -t R,CG 2>/dev/null) ]]; }
wait_for "the end of job $job" 120 ended
step=$(newest_state)
[[ -n $step ]] || fail "$states: expected a state after scancel, got none"
say "Cancelled job $job, its training at step $step"

# A training from the beginning would save step 10 first and remove all later states.
while kill -0 "$workflow" 2>/dev/null; do
    now=$(newest_state)
    [[ -z $now || $now -ge $step ]] || fail "expected the training to continue from step $step, got step $now"
    [[ -z $now || $now -eq $step || -n ${continued:-} ]] || { continued=$now; say "The training continues, now at step $now"; }
    sleep 0.5
done
wait "$workflow" || { workflow=; fail "the workflow failed: $(tail -n 40 "$folder/workflow.log")"; }
workflow=
[[ -n ${continued:-} ]] || fail "expected the training to continue from step $step, saw no later state"

say "Results"
for number in 1 2 3; do
    [[ -s results/ci/tables/table$number.md ]] || fail "results/ci/tables/table$number.md: expected a table, got nothing"
done
[[ -s results/ci/index.html ]] || fail "results/ci/index.html: expected the results page, got nothing"
say "All checks passed"
