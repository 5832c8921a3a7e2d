# Adders and runners are killed at random moments while mail goes to a server: what was acknowledged
# arrives, and what arrives twice was told of as uncertain.
# runs long
#
# KILL_ROUNDS=N ends the first of these after N mailq-run (100); the seed of its choices is shown, and
# KILL_SEED=N takes another run's.

load ../helpers/common

setup() {
	common_setup
	export MAILQ_BUILD
}

teardown() {
	common_teardown
}

kills() {
	run /usr/bin/python3 -B "$MAILQ_TOP/tests/helpers/kills.py" "$@"
	echo "$output"
	assert_status 0
}

@test "adders and runners killed at random: what was acknowledged arrives" {
	kills random "${KILL_ROUNDS:-100}"
	assert_match "$output" 'lost 0;'
}

@test "an id that several add at once is queued once, whoever of them is killed" {
	kills doubles
}

@test "SIGTERM: what is on the wire is finished, the rest put back, nothing is uncertain" {
	kills term
}

@test "four mailq-run share the work and send nothing twice" {
	kills parallel
}
