# SPDX-License-Identifier: Apache-2.0
#
#   make            builds build/fastfold
#   make demo       installs what is missing, builds, and predicts a real protein with the demo parameters
#   make check      installs what is missing, builds, and runs every test that needs no GPU
#   make help       all targets and switches
#
# Switches: CUDA=0|1 MPI=0|1 asan=1 debug=1 V=1 CC=... prefix=/usr/local DESTDIR=...
# CUDA and MPI are used where they are found; =1 makes their absence an error, =0 leaves them out.

VERSION := 0.1.0

# Every rule stands below: a built-in one would compile with flags of its own where it needs fewer files.
MAKEFLAGS += -r

# ---- sources: one list per room, in the order of the rooms ----------------------------------------------------------
base_src := status log alloc strbuf strset clock file hash rng subprocess

format_src := array npy npz zip zip_writer gzip json yaml

bio_src := residue msa lines identifiers fasta fasta_stream a3m stockholm stockholm_text structure pdb geometry \
  torsion align mmcif_write mmcif_metadata cif_writer ccd cif_tokens cif_table template_hit hhr hmmsearch_hits \
  mmcif_atoms mmcif ssv_filter

compute_src := tensor arena ops backend cost tile tile_kernels attention_tile point_tile error_tile template_tile \
  blas ops_cpu ops_cpu_general ops_cpu_attention ops_cpu_global_attention ops_cpu_template_attention \
  ops_cpu_transition ops_cpu_triangle ops_cpu_opm ops_cpu_embed ops_cpu_geometry ops_cpu_point ops_cpu_heads \
  ops_plan wrap moment host_rows ops_dump ops_profile op_call op_case op_fill

parallel_src = block comm dap agree schedule team $(if $(have_mpi),comm_mpi mail_mpi)

feature_src := feature_check raw_features msa_pool jax_random jax_sampling msa_cluster msa_features residue_features \
  monomer_features pairing assembly multimer_features source source_ahead feature_file template_set template_hits \
  template_match template_features own_template

model_src := config weights weights_view params batch pair embed attention triangle triangle_part triangle_stream \
  offload outer_product evoformer template structure heads confidence forward plan model

app_src := version interrupt suggest options option_table option_value option_file option_help alignment search_tool \
  search_record search_aligner search_budget search_cache search_job search_database search_part search_shard \
  search_mmseqs search_chain search chain_features chain_id target user_msa target_features feature_input model_list \
  output_json output output_order output_rows run_key run_record predictor predictions pipeline search_ahead \
  batch_input estimate plan_ranks batch_ranks batch target_folder bench_time bench_cases bench_block bench_pass \
  bench_scaling

# Files of app/ that belong to the program alone; everything else goes into the library.
main_src := main cmd_params cmd_config cmd_doctor cmd_version cmd_predict cmd_features cmd_search cmd_plan \
  cmd_compare cmd_bench

cuda_src := backend common gemm dense_fp32 dense_split split_rows layernorm elementwise linear linear_wgmma \
  linear_split pair_bias attention attention_wgmma attention_mma attention_fp32 attention_fp32_wgmma global_attention \
  global_attention_fused template_attention transition transition_fused transition_wgmma triangle triangle_fused \
  triangle_float32 triangle_wgmma triangle_split opm opm_float32 opm_split opm_wgmma product_wgmma embed ipa geometry \
  heads comm_gpu comm_peer
cuda_headers := common device ptx wgmma mma tf32 split attention attention_float32 opm global_attention_fused \
  transition_fused triangle_fused rows_wgmma dense_wgmma dense_fp32 dense_split split_rows split_product product_wgmma \
  comm_gpu
# Where NCCL is.
nccl_src := comm_nccl

# ---- tests: one program per file ------------------------------------------------------------------------------------
unit_tests := test_status test_tensor test_arena test_log test_alloc test_strbuf test_clock test_file test_hash \
  test_rng test_subprocess test_array test_npy test_npz test_zip test_gzip test_json test_yaml test_strset \
  test_residue test_msa test_fasta test_fasta_stream test_identifiers test_a3m test_stockholm test_stockholm_text \
  test_pdb test_geometry test_torsion test_mmcif_write test_options test_raw_features test_msa_cluster \
  test_monomer_features test_source test_jax_random test_assembly test_multimer_features test_hhr \
  test_hmmsearch_hits test_align test_mmcif test_output test_output_rows test_run_record test_template_hits \
  test_template_features test_target test_search_budget test_schedule test_ssv_filter test_search_mmseqs

op_tests := test_ops test_edges test_magnitudes test_cpu test_backends test_cost

golden_tests := test_layers test_passes test_memory test_command test_complex_features

# Run by mpirun, from the bats files.
parallel_tests := test_exchange test_dap same_results

# Fuzz drivers; built without a fuzzer they replay their seeds.
fuzz_tests := fuzz_npz fuzz_yaml fuzz_fasta fuzz_a3m fuzz_stockholm fuzz_pdb fuzz_mmcif fuzz_hhr

cli_tests := help config bench params doctor search mmseqs databases predict bad_input complex plan compare demo

# Helpers that the tests link: files under test/, without .c.
test_support := golden/golden op/cases op/ref_general op/ref_attention op/ref_triangle op/ref_embed op/ref_structure \
  op/ref_heads

bench_programs := ranks stockholm

# ---- where things go ------------------------------------------------------------------------------------------------
prefix ?= /usr/local
O := build$(if $(asan),/asan)$(if $(debug),/debug)

comma := ,
lib := $(O)/libfastfold.a
exe := $(O)/fastfold

rooms := base format bio compute parallel feature model app
lib_objs = $(foreach r,$(rooms),$(addprefix $(O)/src/$(r)/,$($(r)_src:=.o))) $(O)/gen/builtin_configs.o
main_objs := $(addprefix $(O)/src/app/,$(main_src:=.o))
cuda_objs = $(addprefix $(O)/cuda/,$(addsuffix .o,$(cuda_src) $(if $(have_nccl),$(nccl_src))))
# The CUDA sources as C++ for an emulated GPU: test/emulator.
emulator_src := emulator memory product
emulated_nccl = $(if $(have_mpi),$(nccl_src) nccl)
emulated_objs = $(patsubst %,$(O)/emulated/%.o,$(cuda_src) $(emulator_src) $(emulated_nccl) backend_c comm_host)
emulated_headers := $(addprefix $(O)/emulated/,$(addsuffix .cuh,$(filter-out ptx wgmma,$(cuda_headers))))
have_cxx := $(shell command -v $(CXX))
# Not under the address sanitizer, which cannot follow the emulator's coroutines.
emulated_tests := $(if $(and $(cuda_src),$(have_cxx)),$(if $(asan),,test_ops test_edges test_magnitudes \
  test_layers test_emulator))
emulated_bins := $(addprefix $(O)/test/emulated/,$(emulated_tests))
# Run by mpirun.
emulated_parallel_bins = $(if $(have_mpi),$(addprefix $(O)/test/emulated/,\
  $(if $(emulated_tests),test_exchange test_dap)))
configs := $(sort $(wildcard configs/*.yaml))

unit_bins := $(addprefix $(O)/test/unit/,$(unit_tests))
op_bins := $(addprefix $(O)/test/op/,$(op_tests))
golden_bins := $(addprefix $(O)/test/golden/,$(golden_tests))
parallel_bins := $(addprefix $(O)/test/parallel/,$(parallel_tests))
parallel_files := test/parallel/dap.bats test/parallel/command.bats
fuzz_bins := $(addprefix $(O)/test/fuzz/,$(fuzz_tests))
bench_bins := $(addprefix $(O)/test/bench/,$(bench_programs))
test_lib := $(O)/libtest.a
test_objs := $(addprefix $(O)/test/,$(test_support:=.o))
test_bins := $(unit_bins) $(op_bins) $(golden_bins) $(parallel_bins) $(fuzz_bins)
cli_files := $(addprefix test/cli/,$(cli_tests:=.bats))

# ---- what this machine has ------------------------------------------------------------------------------------------
# Looked at only for targets that compile: `make check` on a bare machine first runs scripts/deps.sh, then make again.
plain_goals := help clean deps demo check lint uninstall list-sources
ifneq ($(filter-out $(plain_goals),$(or $(MAKECMDGOALS),all)),)
include scripts/detect.mk
endif

# ---- flags ----------------------------------------------------------------------------------------------------------
CC ?= cc
NVCC ?= nvcc
git_version := $(shell git describe --always --dirty --tags --match 'v*' 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wpointer-arith \
        $(if $(werror),-Werror)
OPT := $(if $(debug),-Og -g3,$(if $(asan),-O1 -g,-O2 -g))
SAN := $(if $(asan),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
# No -ffast-math: results are compared with the published model's. errno and traps of libm are not used. The code says
# which products and sums are rounded once: a compiler's choice may differ between two copies of one inlined function,
# and with it results for different numbers of rows or threads.
FLOAT := -fno-math-errno -fno-trapping-math -ffp-contract=off

all_cflags = -std=gnu11 -D_GNU_SOURCE -Isrc -Icuda $(OPT) $(FLOAT) $(WARN) $(SAN) $(found_cflags) $(CPPFLAGS) $(CFLAGS)
all_ldflags = $(SAN) $(found_ldflags) $(LDFLAGS)
all_libs = $(found_libs) -lm -lpthread $(LIBS)
nvcc_flags = -std=c++17 -O3 -lineinfo -Isrc -Icuda $(cuda_arch) -Xcompiler -Wall,-Wextra $(found_nvcc_flags) \
             $(NVCCFLAGS)

# Loops over tensors are worth the larger code of -O3; targets of their own so that the rule below stays one line.
ifeq ($(debug)$(asan),)
$(O)/src/compute/%.o: private OPT := -O3 -g
endif

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)')

# ---- targets --------------------------------------------------------------------------------------------------------
.PHONY: all fastfold demo demo-run check check-all check-unit check-op check-golden check-parallel check-cli check-gpu \
        check-emulated lint bench install uninstall clean help deps tests cuda-objects list-sources FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: fastfold
fastfold: $(exe)

deps:
	@scripts/deps.sh

# All processors, unless -j says otherwise.
again = $(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 1))

demo: deps
	@$(again) all
	@$(again) demo-run

demo-run: $(exe)
	@scripts/demo.sh $(exe)

check: deps
	@$(again) all tests
	@$(again) check-all

tests: $(test_bins) $(bench_bins) $(emulated_bins) $(emulated_parallel_bins)

# The CUDA code alone, as a machine without a GPU can build it.
cuda-objects: $(cuda_objs)

run_tests := scripts/run_tests.sh
check-all: $(exe) $(test_bins) $(emulated_bins) $(emulated_parallel_bins)
	@failed=0; FASTFOLD=$(exe) FF_TEST_BUILD=$(O) $(run_tests) $(unit_bins) $(op_bins) $(golden_bins) \
	  $(parallel_files) $(fuzz_bins) $(cli_files) || failed=1; \
	$(if $(emulated_bins),FF_TEST_DEVICE=cuda FF_TEST_PRECISION=bf16 $(run_tests) $(emulated_bins) || failed=1;) \
	exit $$failed
check-unit: $(unit_bins) $(fuzz_bins)
	@$(run_tests) $(unit_bins) $(fuzz_bins)
check-op: $(op_bins)
	@$(run_tests) $(op_bins)
check-golden: $(exe) $(golden_bins)
	@FASTFOLD=$(exe) $(run_tests) $(golden_bins)
check-parallel: $(exe) $(parallel_bins) $(golden_bins) $(emulated_parallel_bins)
	@FASTFOLD=$(exe) FF_TEST_BUILD=$(O) $(run_tests) $(parallel_files)
check-cli: $(exe)
	@FASTFOLD=$(exe) $(run_tests) $(cli_files)
# racecheck has kernels of its own, see barrier_arrive_warp in cuda/ptx.cuh.
for_racecheck := $(O)/racecheck
check-gpu: $(exe) $(op_bins) $(golden_bins) $(parallel_bins)
	@$(if $(have_cuda),,echo 'check-gpu: this build has no CUDA backend (see the lines above)' >&2; exit 1)
	@$(again) O=$(for_racecheck) NVCCFLAGS='$(NVCCFLAGS) -DFF_RACECHECK' $(for_racecheck)/test/op/test_ops
	@FASTFOLD=$(exe) scripts/gpu_check.sh '$(op_bins)' '$(golden_bins)' \
	  '$(filter-out %/same_results,$(parallel_bins))' $(for_racecheck)/test/op/test_ops
# The CUDA kernels on an emulated GPU: in order, and in both orders of threads that are worst for a missing barrier.
check-emulated: $(emulated_bins)
	@export FF_TEST_DEVICE=cuda; for p in fp32 bf16 tf32; do \
	  FF_TEST_PRECISION=$$p $(run_tests) $(firstword $(emulated_bins)) || exit 1; done; \
	FF_EMULATOR_ORDER=backward FF_TEST_PRECISION=bf16 $(run_tests) $(firstword $(emulated_bins)) || exit 1; \
	FF_EMULATOR_ORDER=1 FF_TEST_PRECISION=bf16 $(run_tests) $(firstword $(emulated_bins)) || exit 1; \
	FF_EMULATOR_SM=80 FF_TEST_PRECISION=bf16 $(run_tests) $(firstword $(emulated_bins)) || exit 1; \
	FF_TEST_PRECISION=fp32 $(run_tests) $(wordlist 2,9,$(emulated_bins))

bench: $(exe)
	$(exe) bench

lint:
	@scripts/deps.sh lint
	@scripts/lint.sh

# Every file that the lists above name, for lint.
list-sources:
	@printf '%s\n' $(foreach r,$(rooms),$(addprefix src/$(r)/,$($(r)_src:=.c))) $(main_src:%=src/app/%.c) \
	  $(patsubst %,cuda/%.cu,$(cuda_src) $(nccl_src)) $(test_bins:$(O)/%=%.c) $(bench_bins:$(O)/%=%.c) \
	  $(test_support:%=test/%.c) $(cli_files)

install: $(exe)
	install -D -m 755 $(exe) $(DESTDIR)$(prefix)/bin/fastfold
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man1 man/fastfold.1
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/man/man5 man/fastfold-config.5
	install -D -m 644 -t $(DESTDIR)$(prefix)/share/fastfold/configs $(configs)
	install -D -m 755 -t $(DESTDIR)$(prefix)/share/fastfold/scripts scripts/download_params.sh
	cd data && find demo -type f -exec install -D -m 644 '{}' '$(abspath $(DESTDIR)$(prefix))/share/fastfold/data/{}' \;

uninstall:
	rm -rf $(DESTDIR)$(prefix)/bin/fastfold $(DESTDIR)$(prefix)/share/fastfold
	rm -f $(DESTDIR)$(prefix)/share/man/man1/fastfold.1 $(DESTDIR)$(prefix)/share/man/man5/fastfold-config.5

clean:
	rm -rf build

help:
	@sed -n 's/^#   make/  make/p' Makefile
	@echo '  make check-unit | check-op | check-golden | check-parallel | check-cli   one group of the tests'
	@echo '  make check-gpu  operations and golden tests on the GPU'
	@echo '  make check-emulated  the GPU kernels on an emulated GPU, where there is none'
	@echo '  make bench      time of every operation beside what this machine can do'
	@echo '  make lint       house rules: include order, banned functions, file and line lengths, scripts, manuals'
	@echo '  make install    into prefix=/usr/local (also DESTDIR=); make uninstall takes it away again'
	@echo '  make clean      removes build/'
	@echo 'switches: CUDA=0|1  MPI=0|1  asan=1  debug=1  werror=1  V=1  CC=gcc  CFLAGS=...  prefix=DIR  CUDA_HOME=DIR'
	@echo '          NCCL_HOME=DIR'

# ---- rules ----------------------------------------------------------------------------------------------------------
# The flags of the last build: a change of switches rebuilds what they concern, and not the kernels for those of C.
$(O)/flags: now = $(CC) $(all_cflags) $(all_ldflags) $(all_libs)
$(O)/nvcc_flags: now = $(NVCC) $(nvcc_flags)
$(O)/emulated_flags: now = $(CXX) $(emulated_flags)
$(O)/flags $(O)/nvcc_flags $(O)/emulated_flags: FORCE
	@mkdir -p $(@D)
	@echo '$(now)' | cmp -s - $@ || echo '$(now)' >$@

$(O)/src/%.o: src/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

# version.o alone knows version and flags, so that a commit rebuilds one file.
$(O)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(VERSION) $(git_version)' | cmp -s - $@ || echo '$(VERSION) $(git_version)' >$@
$(O)/src/app/version.o: $(O)/version
$(O)/src/app/version.o: private CPPFLAGS += -DFF_VERSION='"$(VERSION)"' -DFF_GIT_VERSION='"$(git_version)"' \
  -DFF_BUILD_FLAGS='"$(strip $(OPT) $(SAN))"'

$(O)/gen/builtin_configs.c: scripts/embed_configs.sh $(configs)
	@mkdir -p $(@D)
	$(call say,GEN,$@)
	$(Q)scripts/embed_configs.sh $(configs) >$@
$(O)/gen/%.o: $(O)/gen/%.c $(O)/flags
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -MMD -MP -c -o $@ $<

$(O)/cuda/%.o: cuda/%.cu $(O)/nvcc_flags
	@mkdir -p $(@D)
	$(call say,NVCC,$<)
	$(Q)$(NVCC) $(nvcc_flags) -MMD -MP -c -o $@ $<

# The emulator's own ptx.cuh and wgmma.cuh stand in for those with the assembly.
$(O)/emulated/%.cc: cuda/%.cu test/emulator/translate.sh
	@mkdir -p $(@D)
	$(Q)test/emulator/translate.sh $< >$@
$(O)/emulated/%.cuh: cuda/%.cuh test/emulator/translate.sh
	@mkdir -p $(@D)
	$(Q)test/emulator/translate.sh $< >$@
emulated_flags = -std=c++17 -O2 -g $(FLOAT) -U_FORTIFY_SOURCE -Wall -Wno-unknown-pragmas -Wno-unused-function \
  -Wno-unused-variable -Wno-array-bounds \
  -fno-strict-aliasing -DFF_CUDA_TILE_KIB=48 -DFF_CUDA_DENSE_WORK=1e4 -DFF_CUDA_DENSE_SIDE=4 \
  -Itest/emulator -I$(O)/emulated -Isrc -Icuda $(patsubst -I%,-isystem %,$(filter -I%,$(mpi_compile)))
$(O)/emulated/%.o: $(O)/emulated/%.cc $(emulated_headers) $(O)/emulated_flags
	$(call say,CXX,$<)
	$(Q)$(CXX) $(emulated_flags) -MMD -MP -c -o $@ $<
$(patsubst %,$(O)/emulated/%.o,$(emulator_src) nccl test_emulator): \
  $(O)/emulated/%.o: test/emulator/%.cc $(O)/emulated_flags
	@mkdir -p $(@D)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(emulated_flags) -MMD -MP -c -o $@ $<
$(O)/emulated/backend_c.o: src/compute/backend.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -DHAVE_CUDA -MMD -MP -c -o $@ $<
$(O)/emulated/comm_host.o: src/parallel/comm.c $(O)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(all_cflags) -DHAVE_CUDA $(if $(have_mpi),-D,-U)HAVE_NCCL -MMD -MP -c -o $@ $<
$(O)/test/emulated/test_ops: $(O)/test/op/test_ops.o
$(O)/test/emulated/test_edges: $(O)/test/op/test_edges.o
$(O)/test/emulated/test_magnitudes: $(O)/test/op/test_magnitudes.o
$(O)/test/emulated/test_layers: $(O)/test/golden/test_layers.o
$(O)/test/emulated/test_exchange: $(O)/test/parallel/test_exchange.o
$(O)/test/emulated/test_dap: $(O)/test/parallel/test_dap.o
$(O)/test/emulated/test_emulator: $(O)/emulated/test_emulator.o
$(O)/test/emulated/%: $(emulated_objs) $(test_lib) $(lib)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CXX) $(all_ldflags) -o $@ $(filter %/$(@F).o,$^) $(emulated_objs) $(test_lib) $(lib) -lcmocka $(all_libs)

$(lib): $(lib_objs) $(if $(have_cuda),$(cuda_objs))
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(exe): $(main_objs) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $(main_objs) $(lib) $(all_libs)

$(O)/test/%.o: test/%.c $(O)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(all_cflags) -Itest -MMD -MP -c -o $@ $<

$(O)/test/fuzz/%.o: private CPPFLAGS += -DFF_FUZZ_REPLAY

$(test_lib): $(test_objs)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/test/%: $(O)/test/%.o $(test_lib) $(lib)
	$(call say,LINK,$@)
	$(Q)$(CC) $(all_ldflags) -o $@ $< $(test_lib) $(lib) -lcmocka $(all_libs)

-include $(lib_objs:.o=.d) $(main_objs:.o=.d) $(cuda_objs:.o=.d) $(emulated_objs:.o=.d) \
         $(O)/emulated/test_emulator.d $(test_objs:.o=.d) $(addsuffix .d,$(test_bins) $(bench_bins))
