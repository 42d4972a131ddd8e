# SPDX-License-Identifier: Apache-2.0
# Cleat: one non-recursive Makefile. All output goes to build/; V=1 shows the commands; `make help` lists the targets.

SHELL   := /bin/bash
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-8s%s\n' '$(1)' '$(2)')

# One job a processor: nothing here depends on the order of two that do not name each other.
MAKEFLAGS += --jobs=$(shell nproc)

VERSION := 0.1.0
SOVERSION := 0

# ---- broken twins and sanitizers: the same rules, another directory -------------------------------------------
TWIN    ?=
SAN     ?=
TOP     := build
B       := $(TOP)$(if $(TWIN),/twin/$(TWIN))$(if $(SAN),/san)

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang
WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla
CFLAGS  ?= -O2 -g
COMMA   := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(COMMA)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
HARDEN  := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
ALL_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(HARDEN) $(SANFLAGS) -MMD -MP \
	-Iuserspace -I$(B)/gen -DCLEAT_VERSION='"$(VERSION)"' $(if $(ABI),-DCLEAT_ABI_VERSION=$(ABI)) $(if $(TWIN),-DTWIN_CUT_$(subst -,_,$(TWIN))=1)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)

PKGS    := libbpf jansson yaml-0.1 libcrypto libseccomp
LIBS_json := -ljansson
LIBS_yaml := -lyaml
LIBS_ssl  := -lcrypto
LIBS_seccomp := -lseccomp
LIBS_bpf  := -lbpf -lelf -lz

# ---- what is built --------------------------------------------------------------------------------------------
LAYER_SRC = $(wildcard userspace/$(1)/*.c)
BASE    := $(call LAYER_SRC,base)
MODEL   := $(call LAYER_SRC,model)
EDGE    := $(call LAYER_SRC,edge)
FLOW    := $(call LAYER_SRC,flow)
ROOM    := $(call LAYER_SRC,room)
LIBSRC  := $(wildcard userspace/lib/*.c)
# A twin compiles anew only the files that hold the check it removes; everything else is the shipped build's own.
TWIN_FILES := $(if $(TWIN),$(shell grep -lE 'kept\($(subst -,_,$(TWIN))\)' userspace/*.c userspace/*/*.c bpf/*.bpf.c bpf/*.h 2>/dev/null))
ifneq ($(TWIN),)
ifeq ($(TWIN_FILES),)
$(error no file holds kept($(TWIN)): there is no such check)
endif
endif
TWIN_BPF := $(filter bpf/%,$(TWIN_FILES))
where    = $(if $(TWIN),$(if $(filter $(1),$(TWIN_FILES) $(if $(TWIN_BPF),userspace/edge/kern_object.c)),$(B),$(TOP)),$(B))
obj      = $(foreach c,$(1),$(call where,$(c))/obj/$(c:.c=.o))

PROGRAMS := $(B)/cleatd $(B)/cleatctl
LIBRARY  := $(B)/libcleat.so.$(SOVERSION) $(B)/libcleat.a
HELPERS  := $(TOP)/vmtest/on $(TOP)/vmtest/agent

.PHONY: all deps demo check check-unit check-san check-vectors check-native check-fuzz vmtest vmtest-shell vmtest-twins \
	bench bench-guest fuzz lint help clean programs twins twin
.DEFAULT_GOAL := all
.SECONDARY:
.DELETE_ON_ERROR:

all: programs ## build the daemon, the tools, the library and the kernel object
programs: $(PROGRAMS) $(LIBRARY) $(B)/cleat.bpf.o $(HELPERS)

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: V=1 (commands), TWIN=<check> (a broken twin), SAN=1 (ASan, UBSan), KERNEL=6.1|6.12, TEST=name"

# ---- packages -------------------------------------------------------------------------------------------------
# Debian 12 only. Each line says what it is for.
DEPS_BUILD := build-essential pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev linux-libc-dev \
	libssl-dev libyaml-dev libjansson-dev libseccomp-dev
DEPS_TEST := libcriterion-dev libclang-rt-14-dev clang-format python3 python3-jwcrypto python3-prometheus-client nodejs node-jose openssl \
	liburing-dev mandoc procps strace systemd
DEPS_DEB  := debhelper dpkg-dev lintian fakeroot logrotate
DEPS_VM   := qemu-system-x86 qemu-system-common busybox-static cpio kmod iproute2 tcpdump
DEPS      := $(DEPS_BUILD) $(DEPS_TEST) $(DEPS_DEB) $(DEPS_VM)

deps: ## install what is missing (Debian packages, the rooms' users) and fetch the guests' kernels
	$(Q)tests/lint/deps $(DEPS)
	$(Q)tests/lint/users
	$(Q)vmtest/kernels 6.1
	$(Q)vmtest/kernels 6.12

# ---- the kernel side ------------------------------------------------------------------------------------------
# One object linked from several files; CO-RE, so the same on every kernel with BTF.
BPF_SRC := $(wildcard bpf/*.bpf.c)
# A twin compiles the file that its check is in, or all of them where that is a header.
bpf_where = $(if $(TWIN),$(if $(filter bpf/%.h $(1),$(TWIN_BPF)),$(B),$(TOP)),$(B))
BPF_OBJ := $(foreach s,$(BPF_SRC),$(call bpf_where,$(s))/$(s:.c=.o))
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter -D__TARGET_ARCH_x86 \
	-I/usr/include/$(shell uname -m)-linux-gnu -Iuserspace -MMD -MP $(if $(ABI),-DCLEAT_ABI_VERSION=$(ABI)) $(BPF_MORE) $(if $(TWIN),-DTWIN_CUT_$(subst -,_,$(TWIN))=1)

$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $@

$(B)/cleat.bpf.o: $(BPF_OBJ)
	$(call say,BPFLINK,$@)
	@mkdir -p $(@D)
	$(Q)bpftool gen object $@ $^

$(B)/gen/cleat.skel.h: $(B)/cleat.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)bpftool gen skeleton $< name cleat_bpf > $@

# ---- the daemon and the tools ---------------------------------------------------------------------------------
$(B)/obj/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/obj/userspace/edge/kern_object.o: $(B)/gen/cleat.skel.h

$(B)/cleatd: $(call obj,userspace/cleatd.c $(ROOM) $(FLOW) $(EDGE) $(MODEL) $(BASE))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_bpf) $(LIBS_json) $(LIBS_yaml) $(LIBS_ssl) $(LIBS_seccomp) -lpthread

$(B)/cleatctl: $(call obj,$(wildcard userspace/cleatctl*.c) $(LIBSRC) $(filter-out userspace/edge/kern% userspace/edge/seccomp.c,$(EDGE)) $(MODEL) $(BASE))
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_json) $(LIBS_yaml) $(LIBS_ssl)

$(B)/libcleat.so.$(SOVERSION): $(LIBSRC) $(wildcard userspace/lib/*.h) userspace/model/request.h
	$(call say,LIB,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(filter-out -MMD -MP -fPIE,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden -shared \
		-Wl,-soname,libcleat.so.$(SOVERSION) -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS) -o $@ $(LIBSRC)
	$(Q)ln -sf libcleat.so.$(SOVERSION) $(B)/libcleat.so

$(B)/libcleat.a: $(call obj,$(LIBSRC))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

# Renamed into place: a guest that runs at this moment never sees half a file.
$(TOP)/vmtest/%: vmtest/%.c vmtest/wire.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -static -o $@.new $< && mv $@.new $@

# ---- unit tests: each links exactly what its module may depend on; the link line is the proof of the layers ----
TEST_bytes      := base/bytes
TEST_file       := base/file
TEST_reason     := model/reason
TEST_spiffe_id  := model/spiffe_id
TEST_binding    := model/binding base/bytes edge/sig
TEST_window     := model/window
TEST_assertion  := model/assertion model/reason model/spiffe_id base/bytes
TEST_policy     := model/policy model/policy_check model/spiffe_id model/reason base/bytes
TEST_json       := edge/json base/bytes
TEST_sig        := edge/sig base/bytes
TEST_jose       := edge/jose edge/jose_claims edge/json edge/sig model/assertion model/binding model/spiffe_id model/reason base/bytes
TEST_keys       := edge/keys edge/sig base/bytes base/file
TEST_sig_faults := edge/keys edge/sig base/bytes base/file
TEST_bundle     := edge/bundle edge/bundle_print edge/jose edge/jose_claims edge/json edge/sig model/assertion model/binding model/spiffe_id model/reason base/bytes
POLICY_COMPILER := $(basename $(patsubst userspace/%,%,$(wildcard userspace/edge/policy_*.c))) edge/bundle edge/jose edge/jose_claims \
	edge/json edge/sig model/policy model/policy_check model/assertion model/binding model/spiffe_id model/reason \
	base/arena base/bytes base/file
TEST_image      := room/image edge/keys $(POLICY_COMPILER)
TEST_caller     := room/caller edge/peer edge/cgroupfs base/bytes base/clock
TEST_config_view := edge/kern_map
TEST_peer       := edge/peer edge/cgroupfs base/bytes
TEST_place      := room/place base/file base/clock
TEST_ask        := lib/ask lib/cleat
TEST_policy_yaml := $(POLICY_COMPILER)
TEST_policy_again := $(POLICY_COMPILER)
TEST_cgroup_places := edge/cgroup_places edge/cgroupfs $(POLICY_COMPILER)
TEST_machine    := edge/machine base/file
TEST_audit      := edge/audit base/bytes base/clock model/reason
TEST_account    := room/account room/account_refusals room/account_rate edge/audit model/policy model/assertion model/spiffe_id model/reason base/bytes base/clock
TEST_account_rate := room/account room/account_refusals room/account_rate edge/audit model/policy model/assertion model/spiffe_id model/reason \
	base/bytes base/clock
TEST_kernel_events := room/kernel_events room/account_rate room/loop edge/audit model/policy model/assertion model/spiffe_id model/reason \
	base/bytes base/clock base/log
TEST_channel    := room/channel
TEST_host_key   := room/host_key edge/sig base/bytes
TEST_watchdog   := room/watchdog room/channel room/loop
TEST_jail       := room/jail room/jail_calls room/jail_users edge/seccomp edge/cgroupfs edge/peer base/bytes base/file base/log
TEST_reader     := room/reader edge/keys room/channel room/rooms room/image room/jail room/jail_calls room/jail_users \
	edge/seccomp edge/cgroupfs edge/peer base/log base/file $(POLICY_COMPILER)
TEST_secret     := edge/keys edge/sig edge/sig_secret base/bytes base/file
TEST_sign       := flow/seq flow/sign edge/bundle_print $(POLICY_COMPILER)
TEST_facts      := flow/facts edge/sig model/binding model/reason base/bytes base/clock
TEST_memory     := room/memory model/window model/reason
TEST_door       := room/door room/door_message room/share room/loop room/reaper model/reason
TEST_reaper     := room/reaper
TEST_rooms      := room/rooms room/channel base/log base/bytes base/clock
TEST_share      := room/share
TEST_verify     := flow/verify flow/verify_cache model/window edge/bundle_print $(POLICY_COMPILER)
UNITS   := $(sort $(basename $(notdir $(wildcard tests/unit/*.c))))
UNIT_BIN := $(addprefix $(B)/unit/,$(UNITS))
UNIT_LIBS := -lcriterion $(LIBS_json) $(LIBS_yaml) $(LIBS_ssl) $(LIBS_seccomp)

.SECONDEXPANSION:
$(B)/unit/%: $(B)/obj/tests/unit/%.o $$(call obj,$$(addprefix userspace/,$$(addsuffix .c,$$(TEST_$$*))))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

check-unit: $(UNIT_BIN) ## unit tests (Criterion)
	$(Q)tests/lint/run-units $(UNIT_BIN)

# ---- the kernel side without a daemon: run natively (level reduced) or in a guest ---------------------------------
SMOKE_SRC := $(wildcard tests/bpf/*.c) $(addprefix userspace/,$(addsuffix .c,$(basename $(patsubst userspace/%,%,$(wildcard userspace/edge/kern*.c))) edge/machine \
	edge/cgroupfs edge/cgroup_places edge/peer edge/sig flow/facts model/policy model/policy_check model/binding model/spiffe_id model/reason \
	base/bytes base/clock base/file))
$(B)/tests-bpf/smoke: $(call obj,$(wildcard $(SMOKE_SRC)))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_bpf) $(LIBS_ssl)

BPF_TWINS = $(shell sed -n 's/^\([a-z_]*\)|\(full\|reduced\|self\)|.*/\1/p' tests/bpf/twins.sh)
.PHONY: bpf-twins vmtest-bpf
bpf-twins: ## the kernel side's broken twins, objects only
	$(Q)for t in $(BPF_TWINS); do $(MAKE) --no-print-directory TWIN=$$t $(TOP)/twin/$$t/cleat.bpf.o || exit 1; done

vmtest-bpf: $(TOP)/tests-bpf/smoke bpf-twins $(TOP)/vmtest/on $(TOP)/vmtest/agent ## the kernel side without a daemon, and its twins
	$(Q)for k in $(or $(KERNEL),6.1 6.12); do \
		VMTEST_TOGETHER=1 vmtest/run --kernel $$k --env SHARED=$(if $(KERNEL),,yes) tests/bpf & all="$$all $$!"; done; \
		for p in $$all; do wait $$p || bad=1; done; [ -z "$$bad" ]

# ---- vectors: the daemon's own code against published and our own test data -------------------------------------
VECTORS ?= ../shared/vectors
VECTOR_SRC := $(wildcard tests/vectors/*.c)
VECTOR_BIN := $(patsubst tests/vectors/%.c,$(B)/tests/%,$(VECTOR_SRC))
CODE_BELOW_ROOM := $(filter-out userspace/edge/kern%.c userspace/edge/seccomp.c,$(BASE) $(MODEL) $(EDGE)) userspace/flow/verify.c userspace/flow/verify_cache.c

$(B)/tests/%: $(B)/obj/tests/vectors/%.o $(call obj,$(CODE_BELOW_ROOM))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_json) $(LIBS_yaml) $(LIBS_ssl)

check-vectors: $(VECTOR_BIN) ## test vectors
	$(Q)BUILD=$(B) VECTORS=$(VECTORS) tests/vectors/run

# ---- the daemon itself, on this machine -------------------------------------------------------------------------
# Twins of the daemon, and the native attack that each must fail.
DAEMON_TWINS := watch_links=attack_091_hook_taken_away fall_written=attack_091_fall_that_cannot_be_written \
	reaper_strange=attack_113_carried_in_queues api_sender=attack_053_another_process_sends \
	sender_ids=attack_053_another_process_sends config_closed=rooms_are_jailed
check-native: $(B)/cleatd $(B)/cleatctl $(TOP)/e2e/protocol_client ## the daemon natively at level reduced
	$(Q)BUILD=$(B) tests/e2e/own_bpffs tests/e2e/native_reduced.sh
	$(Q)BUILD=$(B) tests/e2e/own_bpffs tests/e2e/cleatctl.sh
	$(Q)$(MAKE) --no-print-directory $(ACTORS) TWIN=
	$(Q)for p in $(DAEMON_TWINS); do t=$${p%=*}; $(MAKE) --no-print-directory TWIN=$$t $(TOP)/twin/$$t/cleatd || exit 1; done
	$(Q)BUILD=$(B) tests/e2e/own_bpffs tests/attack/native/run attack_091 attack_113
	$(Q)tests/e2e/own_bpffs tests/attack/native/daemon_twins $(TOP) $(DAEMON_TWINS)

# ---- attacks on verify() natively: tests of attacks.md A on the daemon's own code, each with its broken twins ------
ATTACK_SRC := $(wildcard tests/attack/native/*.c)
ATTACK_BIN := $(patsubst tests/attack/native/%.c,$(B)/attack/%,$(ATTACK_SRC))

$(B)/attack/%: $(B)/obj/tests/attack/native/%.o $(call obj,$(CODE_BELOW_ROOM))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(UNIT_LIBS)

.PHONY: check-attack check-attack-twins
check-attack: $(ATTACK_BIN) ## forged tokens, natively
	$(Q)tests/lint/run-units $(ATTACK_BIN)

# A twin here is the same objects, but for those that hold the one check.
check-attack-twins: $(addprefix $(B)/unit/,bundle verify policy policy_yaml place ask memory channel keys jail secret account share reaper caller peer facts sign config_view) $(ATTACK_BIN) ## every native twin must be caught with an accept
	$(Q)CC="$(CC)" CFLAGS='$(ALL_CFLAGS)' LDFLAGS='$(ALL_LDFLAGS)' LIBS='$(UNIT_LIBS)' \
		tests/attack/native/twins $(B) $(CODE_BELOW_ROOM) userspace/room/place.c userspace/room/memory.c userspace/room/account.c userspace/room/account_refusals.c userspace/room/account_rate.c \
		userspace/room/channel.c userspace/room/jail.c userspace/room/jail_calls.c userspace/room/jail_users.c userspace/room/share.c userspace/room/reaper.c userspace/room/caller.c userspace/flow/facts.c userspace/flow/seq.c userspace/flow/sign.c userspace/edge/kern_map.c \
		userspace/edge/seccomp.c $(LIBSRC)

# ---- pins: restarts, upgrades and what may lie there instead, natively at level reduced -----------------------------
# Other builds: one with another object of the same layout, one with another layout, and the twin whose programs can be
# replaced in part, as those of a daemon before this rule.
PIN_TWINS := disarm_ours pins_whole pins_over_maps pins_layout pins_lineage full_remembered seq seq_written
.PHONY: other-builds pins-programs check-pins
other-builds: programs
	$(Q)$(MAKE) --no-print-directory B=$(TOP)/other/object BPF_MORE=-DTWIN_CUT_forged_packet=1 $(TOP)/other/object/cleatd
	$(Q)$(MAKE) --no-print-directory B=$(TOP)/other/layout ABI=2 $(TOP)/other/layout/cleatd
	$(Q)$(MAKE) --no-print-directory TWIN=functions_static $(TOP)/twin/functions_static/cleatd

pins-programs: other-builds $$(ACTORS)
	$(Q)for t in $(PIN_TWINS); do $(MAKE) --no-print-directory TWIN=$$t $(TOP)/twin/$$t/cleatd || exit 1; done

check-pins: pins-programs ## restart, upgrade, kill -9 and planted pins, natively at level reduced, with their twins
	$(Q)SUITE=pins tests/e2e/own_bpffs tests/attack/native/run

# ---- fuzzing: libFuzzer over each parser, the corpus in the tree, ASan and UBSan on ------------------------------
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(FUZZ_SRC))
FUZZ_FLAGS := -std=gnu17 -D_GNU_SOURCE $(WARN) -O1 -g -Iuserspace -DCLEAT_VERSION='"$(VERSION)"' -MMD -MP \
	-fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_SECONDS ?= 60
FUZZ_SMOKE_RUNS ?= 20000

$(B)/fuzz/obj/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -c $< -o $@

$(B)/fuzz/door: $(patsubst %,$(B)/fuzz/obj/userspace/room/%.o,door door_message share loop reaper)
$(B)/fuzz/%: tests/fuzz/%.c $(patsubst %.c,$(B)/fuzz/obj/%.o,$(CODE_BELOW_ROOM))
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -Wno-missing-prototypes -o $@ $^ $(LIBS_json) $(LIBS_yaml) $(LIBS_ssl)

fuzz: $(FUZZ_BIN) ## fuzz every parser for FUZZ_SECONDS each
	$(Q)tests/fuzz/run --seconds $(FUZZ_SECONDS) $(FUZZ_BIN)

check-fuzz: $(FUZZ_BIN) ## the corpus and a smoke of FUZZ_SMOKE_RUNS runs of every fuzz target
	$(Q)tests/fuzz/run --runs $(FUZZ_SMOKE_RUNS) $(FUZZ_BIN)

# ---- sanitizers ---------------------------------------------------------------------------------------------------
check-san: ## unit tests and vectors once more under ASan and UBSan
	$(Q)$(MAKE) --no-print-directory SAN=1 check-unit check-vectors

# ---- virtual machines: the real kernels ----------------------------------------------------------------------------
PLAYERS := $(addprefix $(TOP)/tests-vm/,rawtcp crowd fdcount zoo zeroed)
ACTORS  := $(addprefix $(TOP)/tests-vm/,actor replacer replace.bpf.o) $(PLAYERS)
$(PLAYERS): $(TOP)/tests-vm/%: tests/attack/%.c tests/attack/play.c tests/attack/play.h userspace/model/request.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -Iuserspace -o $@ $(filter %.c,$^) -lpthread
$(TOP)/tests-vm/replacer: tests/attack/replacer.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -o $@ $< $(LIBS_bpf)
$(TOP)/tests-vm/%.bpf.o: tests/attack/%.bpf.c
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out -MMD -MP,$(BPF_CFLAGS)) -c $< -o $@
$(TOP)/tests-vm/%: tests/attack/%.c userspace/model/request.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -Iuserspace -o $@ $<

.PHONY: check-counts check-descriptors check-beside
check-counts: programs $(ACTORS) ## attacks counted in thousands, natively at level reduced; ROUNDS=0.1 for a tenth
	$(Q)tests/e2e/own_bpffs tests/attack/native/run
check-descriptors: programs $(ACTORS) ## the one that takes longest: a million messages with descriptors (attack 110)
	$(Q)tests/e2e/own_bpffs tests/attack/native/run attack_110
check-beside: ## what mostly waits, one after the other, for make check to run beside the rest
	$(Q)$(MAKE) --no-print-directory check-pins
	$(Q)$(MAKE) --no-print-directory check-descriptors

KERNEL  ?=
TEST    ?=
vmtest: programs other-builds $(ACTORS) ## the VM tests; KERNEL=6.1 and TEST=name narrow them
	$(Q)vmtest/suites $(if $(KERNEL),--kernel $(KERNEL)) $(TEST)

vmtest-shell: programs $(ACTORS) ## a shell inside guest a, b beside it
	$(Q)vmtest/run --kernel $(or $(KERNEL),6.12) --shell

.PHONY: vmtest-lsm
vmtest-lsm: programs ## a boot without BPF LSM, on both kernels: level full is refused, and said why
	$(Q)for k in $(or $(KERNEL),6.1 6.12); do vmtest/run --kernel $$k --hosts 1 --outdir $(TOP)/vmtest/lsm-$$k tests/e2e/vm || exit 1; done

.PHONY: check-deb vmtest-package
check-deb: deb ## what is in the packages, and a client built from libcleat-dev
	$(Q)tests/e2e/debs.sh $(TOP)/deb

vmtest-package: $(ACTORS) $(TOP)/e2e/ledger $(HELPERS) $(if $(DEBS_BUILT),,deb) ## the packages on two hosts with systemd, from README's lines to purging
	$(Q)tests/e2e/next_package $(TOP)/deb
	$(Q)vmtest/run --kernel $(or $(KERNEL),6.12) --outdir $(TOP)/vmtest/package --verbose tests/e2e/package.sh

# Every check that a test claims to guard, removed once.
TWINS    = $(shell /usr/bin/python3 tests/attack/suite.py --list-twins 2>/dev/null)
twins: programs ## build every broken twin
	$(Q)for t in $(TWINS); do $(MAKE) --no-print-directory TWIN=$$t twin || exit 1; done
twin: $(B)/cleatd $(if $(filter userspace/lib/%,$(TWIN_FILES)),$(B)/libcleat.so.$(SOVERSION))

vmtest-twins: twins $(ACTORS) ## each broken twin must be caught by its test; KERNEL and TEST as above
	$(Q)vmtest/suites --twins $(if $(KERNEL),--kernel $(KERNEL)) $(TEST)

# ---- install and uninstall: GNU's variables -------------------------------------------------------------------------
# A line is mode|source|target. Uninstalling goes through the same list, so that it cannot forget a file.
PREFIX      ?= /usr/local
prefix      ?= $(PREFIX)
bindir      ?= $(prefix)/bin
sbindir     ?= $(prefix)/sbin
libdir      ?= $(prefix)/lib
includedir  ?= $(prefix)/include
datadir     ?= $(prefix)/share
mandir      ?= $(datadir)/man
docdir      ?= $(datadir)/doc/cleat
# These do not move with libdir, which may be a multiarch one.
unitdir     ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
SO          := libcleat.so.$(SOVERSION)

INSTALLED = 755|$(B)/cleatd|$(sbindir)/cleatd 755|$(B)/cleatctl|$(bindir)/cleatctl \
	644|$(B)/$(SO)|$(libdir)/$(SO) link|$(SO)|$(libdir)/libcleat.so 644|$(B)/libcleat.a|$(libdir)/libcleat.a \
	644|userspace/lib/cleat.h|$(includedir)/cleat.h edit|userspace/lib/cleat.pc.in|$(libdir)/pkgconfig/cleat.pc \
	edit|userspace/systemd/cleatd.service.in|$(unitdir)/cleatd.service \
	edit|userspace/systemd/cleat-metrics.service.in|$(unitdir)/cleat-metrics.service \
	644|userspace/systemd/cleat-metrics.timer|$(unitdir)/cleat-metrics.timer \
	644|userspace/systemd/cleat.sysusers|$(sysusersdir)/cleat.conf \
	644|userspace/systemd/cleat.tmpfiles|$(tmpfilesdir)/cleat.conf \
	$(foreach m,$(wildcard userspace/man/*),644|$m|$(mandir)/man$(subst .,,$(suffix $m))/$(notdir $m)) \
	$(foreach c,$(wildcard userspace/completion/*),644|$c|$(datadir)/bash-completion/completions/$(notdir $c)) \
	$(foreach d,README.md userspace/PROTOCOL.md,644|$d|$(docdir)/$(notdir $d)) \
	$(foreach d,$(wildcard policies/*),644|$d|$(docdir)/examples/$(notdir $d))

.PHONY: installables install uninstall check-install deb
installables: $(PROGRAMS) $(LIBRARY)
install: installables ## below PREFIX (/usr/local), staged below DESTDIR; bindir, libdir, mandir ... as usual
	$(Q)set -e; for line in $(foreach i,$(INSTALLED),'$i'); do \
		IFS='|' read -r how from to <<<"$$line"; to="$(DESTDIR)$$to"; \
		case $$how in \
		link) ln -sfn "$$from" "$$to" ;; \
		edit) sed -e 's|@prefix@|$(prefix)|; s|@bindir@|$(bindir)|; s|@sbindir@|$(sbindir)|; s|@libdir@|$(libdir)|' \
			-e 's|@includedir@|$(includedir)|; s|@version@|$(VERSION)|' "$$from" | \
			install -D -m 644 /dev/stdin "$$to" ;; \
		*) install -D -m "$$how" "$$from" "$$to" ;; \
		esac; \
	done
	$(call say,INSTALL,$(words $(INSTALLED)) files below $(DESTDIR)$(prefix))
	@[ -n "$(DESTDIR)" ] || echo "  next: ldconfig; systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload; see README.md"

uninstall: ## what install put there, and the kernel side; /etc/cleat, /var/lib/cleat and /var/log/cleat stay
	$(Q)[ -n '$(DESTDIR)' ] || [ ! -e /sys/fs/bpf/cleat ] || '$(sbindir)/cleatd' disarm
	$(Q)rm -f $(foreach i,$(INSTALLED),'$(DESTDIR)$(lastword $(subst |, ,$i))')
	$(Q)rmdir --ignore-fail-on-non-empty '$(DESTDIR)$(docdir)/examples' '$(DESTDIR)$(docdir)' 2>/dev/null || :
	$(call say,REMOVED,$(words $(INSTALLED)) files below $(DESTDIR)$(prefix))
	@echo "  kept: policy and trust in /etc/cleat; host key in /var/lib/cleat; audit log in /var/log/cleat; users cleat-*"

check-install: $(PROGRAMS) $(LIBRARY) ## install, use and uninstall below build/
	$(Q)MAKE='$(MAKE)' CC='$(CC)' tests/e2e/install.sh $(B)/check-install

# The Debian packages, from a staged copy: debian/ is no top-level directory of ours. DEB_VERSION for a later revision.
DEB_VERSION ?= $(VERSION)
deb: ## Debian packages in build/deb, lintian clean
	$(Q)DEB_VERSION=$(DEB_VERSION) BUILD_PACKAGES='$(DEPS_BUILD)' userspace/debian/build $(TOP)/deb

# ---- lint, check, demo, bench --------------------------------------------------------------------------------------
lint: $(B)/gen/cleat.skel.h programs ## layers, licences, both compilers, formatting
	$(Q)tests/lint/all $(B)/gen

check: deps ## everything: lint, units, sanitizers, vectors, fuzz smoke, VM tests on both kernels, broken twins
	$(Q)tests/lint/check

demo: deps ## two hosts, one connection, and every replay refused
	$(Q)$(MAKE) --no-print-directory demo-run
demo-run: programs $(ACTORS) $(TOP)/e2e/ledger
	$(Q)tests/e2e/demo

$(TOP)/e2e/%: tests/e2e/clients/%.c $(TOP)/libcleat.a
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)gcc -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -Iuserspace/lib -o $@ $< $(TOP)/libcleat.a

bench: programs ## ratios against a baseline of the same run, natively at level reduced; build/bench.json
	$(Q)$(MAKE) --no-print-directory $(B)/bench/bench $(B)/bench/floor.bpf.o
	$(Q)BUILD=$(B) tests/bench/run

bench-guest: programs ## what a request costs a room at level full, in instructions, in a guest that counts them
	$(Q)$(MAKE) --no-print-directory $(B)/bench/bench
	$(Q)vmtest/run --kernel $(or $(KERNEL),6.12) --hosts 1 --icount --timeout 600 --outdir $(TOP)/vmtest/bench --verbose \
		tests/bench/guest

$(B)/bench/%.bpf.o: tests/bench/%.bpf.c bpf/abi.h
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(filter-out -MMD -MP,$(BPF_CFLAGS)) -Ibpf -c $< -o $@

$(B)/bench/bench: $(call obj,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)) $(LIBSRC) $(FLOW) $(EDGE) $(MODEL) $(BASE))
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_bpf) $(LIBS_json) $(LIBS_yaml) -lssl $(LIBS_ssl) $(LIBS_seccomp) -lpthread

-include $(shell find $(B)/obj $(B)/bpf -name '*.d' 2>/dev/null)

clean: ## remove build/ but for the guests' kernels
	$(Q)find build -mindepth 1 -maxdepth 1 ! -name kernels -exec rm -rf {} +
