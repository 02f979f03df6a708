# sark_cache: what is built, run and checked here. `make help` lists the targets.
#
# Everything is made under build/. Variants are parameters:
#     CC=clang          the compiler
#     SAN=thread        a sanitizer: thread, or address (with undefined behaviour and leaks); with
#                       delays at random in the threaded tests (tests/perturb.h): perturbed,
#                       perturbed-thread, perturbed-address
#     SCALE=20          percent of the tests' usual lengths
#     JOBS=2            tests that run at a time
#     T=8h              how long make soak takes
#     ONLY=             the jobs of make soak; all unless given
#     SECONDS=60        how long make fuzz runs each fuzzer
#     TRACES=folder     where `make exact` and `make bench-plots` find traces
#     ARGS=             what make bench passes on, such as ARGS='--rounds 9 --threads 1'
#     PACKAGES=         an empty list: do not look for Debian packages

BUILD  := build
SAN    :=
SCALE  := 100
JOBS   := 2
T      := 8h
ONLY   :=
SECONDS := 60
TRACES :=

# What `make test` needs beyond make and a C compiler, as Debian names it.
# Not gcc-multilib: it removes the compilers for other targets.
PACKAGES := gcc g++ clang libclang-rt-dev clang-19 libclang-rt-19-dev llvm-19 clang-tidy-19 \
            libstb-dev zlib1g-dev relacy-dev valgrind universal-ctags cppcheck shellcheck jq strace \
            prometheus python3-prometheus-client musl-tools qemu-user \
            gcc-i686-linux-gnu libc6-dev-i386-cross \
            gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
            gcc-arm-linux-gnueabi libc6-dev-armel-cross \
            gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
            gcc-mips-linux-gnu libc6-dev-mips-cross \
            gcc-mipsel-linux-gnu libc6-dev-mipsel-cross \
            gcc-mips64el-linux-gnuabi64 libc6-dev-mips64el-cross \
            gcc-riscv64-linux-gnu libc6-dev-riscv64-cross \
            gcc-s390x-linux-gnu libc6-dev-s390x-cross \
            gcc-powerpc-linux-gnu libc6-dev-powerpc-cross \
            gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross \
            gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross

# What `make bench` measures beside the cache; none of it is needed by anything else.
BENCH_PACKAGES := g++ libstb-dev zlib1g-dev liburcu-dev libcuckoo-dev libtbb-dev cargo rustc \
                  librust-dashmap-dev librust-libc-dev default-jdk-headless libcaffeine-java \
                  golang-go golang-github-hashicorp-golang-lru-dev \
                  golang-github-dgraph-io-ristretto-dev redis-server libhiredis-dev memcached \
                  libmemcached-dev gnuplot-nox hyperfine

# ---- Flags --------------------------------------------------------------------------------------

STANDARD      := -std=gnu11
WARNINGS      := -Wall -Wextra
FLAGS_plain   := -O2 -g1
FLAGS_address := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
                 -fno-sanitize-recover=all
FLAGS_thread  := -O1 -g1 -fsanitize=thread
perturbed     := -include tests/perturb.h
FLAGS_perturbed         := $(FLAGS_plain) $(perturbed)
FLAGS_perturbed-address := $(FLAGS_address) $(perturbed)
FLAGS_perturbed-thread  := $(FLAGS_thread) $(perturbed)
SANITIZER     := $(or $(SAN),plain)
FLAGS         := $(STANDARD) $(WARNINGS) $(FLAGS_$(SANITIZER)) -pthread -I.
ifeq ($(FLAGS_$(SANITIZER)),)
$(error SAN is "thread", "address", "perturbed", "perturbed-..." or empty, not "$(SAN)")
endif

# The variant's folder, such as build/gcc-plain or build/clang-thread.
OUT := $(BUILD)/$(notdir $(CC))-$(SANITIZER)

# zlib reads the traces where its header is there; otherwise they are piped through gzip.
zlib = $(if $(filter yes,$(shell printf '%s\n' '\#if __has_include(<zlib.h>)' yes '\#endif' | \
           $(CC) -E -P - 2>/dev/null)),-DHAVE_ZLIB -lz)

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help run test test-programs relacy-programs mutate planted coverage fuzz exact soak \
        bench bench-plots bench-packages lint clean always

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

# ---- Running it ---------------------------------------------------------------------------------

run: $(BUILD)/01_hello $(BUILD)/main_job ## the quick start, then two real traces through the cache
	$(BUILD)/01_hello
	$(BUILD)/main_job

# The subjects of the benchmark, each a program of its own.
subjects := $(shell sed -n '/known_subjects\[\]/,/};/p' bench/speed.c | \
               grep -o '"[^"]*"' | tr -d '"')

bench: $(BUILD)/speed $(subjects:%=$(BUILD)/bench/%.built) ## speed beside rivals: what is missing is named
	@mkdir -p $(BUILD)/bench
	$(BUILD)/speed --csv $(BUILD)/bench/speed.csv $(ARGS)

bench-plots: $(BUILD)/hit_ratios $(BUILD)/bench/caffeine.built ## what make bench has measured, and hits by capacity, as PNG files; TRACES=folder: of its traces
	$(BUILD)/hit_ratios --caffeine $(wildcard $(or $(TRACES),bench/traces)/*.txt.gz) >$(BUILD)/bench/hit_ratios.csv
	@bench/plots.sh $(BUILD)/bench/speed.csv $(BUILD)/bench/hit_ratios.csv $(BUILD)/bench/plots

bench-packages: ## install the rivals of make bench
	@tests/packages.sh $(BENCH_PACKAGES)

$(BUILD)/01_hello: examples/01_hello.c sark_cache.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -pthread -I. $< -o $@

# Each program in bench/ is its own file and the parts that it uses.
parts_of_replay   := $(addprefix bench/,trace.c trace_input.c replay_run.c sark_cache.c)
parts_of_main_job := $(parts_of_replay) bench/metrics_print.c
parts_of_hit_ratios := $(parts_of_replay) bench/plans.c bench/subject_link.c
parts_of_speed    := $(addprefix bench/,plans.c subject_link.c trace.c trace_input.c)
bench_flags       := $(STANDARD) $(WARNINGS) $(FLAGS_plain) -pthread

$(BUILD)/replay: bench/replay.c $(parts_of_replay)
$(BUILD)/main_job: bench/main_job.c $(parts_of_main_job)
$(BUILD)/speed: bench/speed.c $(parts_of_speed)
$(BUILD)/hit_ratios: bench/hit_ratios.c $(parts_of_hit_ratios)
$(BUILD)/instructions: bench/instructions.c
$(addprefix $(BUILD)/,replay main_job speed hit_ratios instructions): sark_cache.h $(wildcard bench/*.h) $(BUILD)/commit
	@mkdir -p $(@D)
	$(CC) $(bench_flags) -DBENCH_COMMIT='"$(shell cat $(BUILD)/commit)"' \
	    -DBENCH_FLAGS='"$(bench_flags)"' -I. $(filter %.c,$^) $(zlib) -lm -o $@

# Builds a subject, or writes down why it cannot be.
$(BUILD)/bench/%.built: bench/build_subject.sh $(wildcard bench/*.h bench/subject_* bench/*.java \
                        bench/golang/* bench/first_version/*) bench/server.c sark_cache.h
	@mkdir -p $(@D)
	CC=$(CC) CFLAGS='$(bench_flags)' CXXFLAGS='-std=c++17 $(WARNINGS) $(FLAGS_plain) -pthread' \
	    bench/build_subject.sh $* $(@D)
	@touch $@

# What the programs in bench/ print beside their figures; touched only where it changes.
$(BUILD)/commit: always
	@mkdir -p $(@D)
	@commit=$$(git describe --always --dirty 2>/dev/null || echo unknown); \
	[ "$$commit" = "$$(cat $@ 2>/dev/null)" ] || echo "$$commit" >$@

# ---- Checking it --------------------------------------------------------------------------------

# With CC or SAN on the command line, that variant's programs alone; otherwise all there is.
one_variant := $(filter command,$(foreach name,CC SAN,$(firstword $(origin $(name)))))
run_tests   := BUILD=$(BUILD) SCALE=$(SCALE) JOBS=$(JOBS) tests/run.sh

test: ## everything that can be checked here; CC= or SAN= given: that variant alone
	@tests/packages.sh $(PACKAGES) 2>&1
	@$(run_tests) $(if $(one_variant),variant $(CC) $(SANITIZER),all) 2>&1

soak: ## the searches that take hours, T=8h unless given; ONLY="schedules fuzz-arena": these alone
	@tests/packages.sh $(PACKAGES) 2>&1
	@BUILD=$(BUILD) JOBS=$(JOBS) tests/soak.sh $(T) $(ONLY)

mutate: relacy-programs ## weaken each order of the core until a scenario of the checker fails
	@BUILD=$(BUILD) JOBS=$(JOBS) tests/mutate.sh

planted: ## break one thing in the header after the other: the test that is named for it must fail
	@BUILD=$(BUILD) JOBS=$(JOBS) tests/planted.sh

coverage: ## branches and MC/DC of the header, against tests/coverage_gaps.txt
	@JOBS=$(JOBS) tests/coverage.sh $(BUILD)/coverage

fuzz: ## each fuzzer for a time: SECONDS=60 unless given
	@BUILD=$(BUILD) FUZZ_SECONDS=$(SECONDS) tests/fuzz.sh

exact: $(BUILD)/replay ## TRACES=folder: hits and digests of all its traces against the reference
	@$(if $(TRACES),,$(error make exact needs TRACES=folder))
	@tests/exact.sh $(BUILD)/replay $(TRACES)/expected_digest.csv $(TRACES)

lint: ## the rules of writing, warnings, the object's symbols, analysers
	@tests/lint.sh $(BUILD)/lint

test_programs   := $(basename $(notdir $(filter-out %_part.c,$(wildcard tests/*.c))))
relacy_programs := $(basename $(notdir $(wildcard tests/relacy/*.cpp)))

test-programs: $(addprefix $(OUT)/,$(test_programs))
relacy-programs: $(addprefix $(BUILD)/relacy/,$(relacy_programs))

# Programs that only call the cache are linked with it, which is compiled once, with assertions for
# those that ask for them. The others have it inside: what they do not use is left out, and the rest
# compiled quickly where no speed is measured.
linked   := $(filter-out api_metrics api_system,$(filter api_%,$(test_programs))) \
            expiry_marks expiry_real lin_search lin_zones stress_mixed stress_room
inside    = -DSARK_CACHE_STATIC $(if $(filter expiry_% lockfree_% schedules steps_%,$*),,-O1)
asserted := bound_moving model_bytes model_exhaustive model_random stress_callbacks

$(addprefix $(OUT)/,$(linked)): $(OUT)/implementation.o
$(addprefix $(OUT)/,$(asserted)): $(OUT)/asserting.o
$(OUT)/asserting.o: assertions := -DSARKI_ASSERTIONS
$(OUT)/implementation.o $(OUT)/asserting.o: tests/compile/implementation.c sark_cache.h \
                                            tests/perturb.h
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(assertions) -c $< -o $@

# Some are another one with other macros.
included := $(shell sed -n 's|^\#include "\([a-z_]*\.c\)"|tests/\1|p' tests/*.c)

$(OUT)/%: tests/%.c sark_cache.h $(included) $(wildcard tests/*.h tests/schedule/*.h)
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(if $(filter %.o,$^),-DSARK_CACHE_IMPLEMENTED,$(inside)) -Itests \
	    $< $(filter %.o,$^) -o $@

$(BUILD)/relacy/%: tests/relacy/%.cpp sark_cache.h $(wildcard tests/relacy/*.h)
	@mkdir -p $(@D)
	g++ -std=c++11 -O2 -fno-strict-aliasing -fno-lifetime-dse -w -I. -Itests/relacy $< -o $@

# The numbers of two halves stand in the section that the model's own vocabulary replaces.
$(BUILD)/relacy/halves: tests/relacy/halves.cpp sark_cache.h
	@mkdir -p $(@D)
	sed -n '/^#else .* no lock-free 64-bit atomics/,/^#endif/{ /^#/!p }' sark_cache.h >$(@D)/halves.h
	g++ -std=c++11 -O2 -fno-strict-aliasing -fno-lifetime-dse -w -I$(@D) $< -o $@

# The parts of other programs that a fuzzer includes count as its sources.
$(BUILD)/fuzz/%: tests/fuzz/%.c sark_cache.h tests/fuzz/fuzz.h tests/model_bytes.c \
                 $(wildcard tests/*.h bench/trace*.c bench/trace*.h)
	@mkdir -p $(@D)
	clang $(STANDARD) $(WARNINGS) $(FLAGS_address) -fsanitize=fuzzer -pthread -I. -Itests $< \
	    $(zlib) -o $@

clean: ## remove build/
	rm -rf $(BUILD)
