# SPDX-License-Identifier: LGPL-2.1-or-later
# Whole programs: each script runs in a simulated host of its own (tests/lib/sim-lib.bash).

# The simulator, which is built without sanitizers.
SIMULATOR_TESTS = tests/sim/drivers.sh tests/sim/host.sh tests/sim/run.sh
if !ASAN
TESTS += $(SIMULATOR_TESTS)
endif
EXTRA_DIST += $(SIMULATOR_TESTS)

# The long ones first, so that none is left for the end.
SIM_TESTS = \
	tests/sim/daemon.sh tests/sim/api.sh tests/sim/reattach.sh \
	tests/sim/agent.sh \
	tests/sim/agent-hostile.sh \
	tests/sim/agent-life.sh \
	tests/sim/api-lost.sh \
	tests/sim/api-state.sh \
	tests/sim/backend-cgroups.sh \
	tests/sim/backend-commands.sh \
	tests/sim/backend-crash.sh \
	tests/sim/backend-default-paths.sh \
	tests/sim/backend-driver.sh \
	tests/sim/backend-errors.sh \
	tests/sim/backend-hostile.sh \
	tests/sim/backend-inherited.sh \
	tests/sim/backend-kinds.sh \
	tests/sim/backend-limits.sh \
	tests/sim/backend-paths.sh \
	tests/sim/backend-plugs.sh \
	tests/sim/backend-quota.sh \
	tests/sim/backend-replaced.sh \
	tests/sim/backend-service.sh \
	tests/sim/backend-statistics.sh \
	tests/sim/badpeer.sh \
	tests/sim/daemon-idle.sh \
	tests/sim/descriptors.sh \
	tests/sim/demo.sh \
	tests/sim/interop.sh \
	tests/sim/holder.sh \
	tests/sim/versions.sh \
	tests/sim/worker.sh \
	tests/sim/reattach-both.sh \
	tests/sim/reattach-ends.sh \
	tests/sim/reattach-pipes.sh \
	tests/sim/reattach-port.sh \
	tests/sim/streams.sh \
	tests/sim/streams-kill.sh \
	tests/sim/no-answer.sh \
	tests/sim/toolstack.sh \
	tests/sim/toolstack-apply.sh \
	tests/sim/toolstack-hints.sh \
	tests/sim/toolstack-identity.sh tests/sim/toolstack-json.sh \
	tests/sim/toolstack-screen.sh \
	tests/sim/toolstack-traffic.sh \
	tests/sim/toolstack-watch.sh \
	tests/sim/vchan-cat-ends.sh \
	tests/sim/vchan-cat-plain.sh
TESTS += $(SIM_TESTS)
EXTRA_DIST += $(SIM_TESTS)

# Repetitions, and faults at each step: sanitizers see the same code in the tests above.
OFTEN_TESTS = \
	tests/sim/api-lots.sh \
	tests/sim/backend-driver-many.sh \
	tests/sim/backend-many.sh \
	tests/sim/backend-scale.sh \
	tests/sim/toolstack-many.sh \
	tests/sim/toolstack-steps.sh
if !ASAN
SEARCHES += $(OFTEN_TESTS)
endif
EXTRA_DIST += $(OFTEN_TESTS)
