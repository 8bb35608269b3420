# SPDX-License-Identifier: Apache-2.0
# detect: finds the libraries and compilers of this machine, says what it found and how to get what it did not.
#
# In: CC CUDA MPI CUDA_HOME cuda_src parallel_src. Out: found_cflags found_ldflags found_libs found_nvcc_flags NVCC
# cuda_arch have_cuda have_mpi have_nccl. A missing required library stops make with the package's name.

# $(call probe,header,flags): "yes" when a program with that header compiles and links.
probe = $(shell printf '\043include <%s>\nint main(void){return 0;}\n' '$(1)' | \
          $(or $(CC),cc) -x c - -o /dev/null $(2) >/dev/null 2>&1 && echo yes)
# $(call pkg,name,fallback libs): the flags that pkg-config knows, or the plain library.
pkg = $(shell pkg-config --cflags --libs $(1) 2>/dev/null || echo $(2))

zlib_flags := $(call pkg,zlib,-lz)
yaml_flags := $(call pkg,yaml-0.1,-lyaml)
blas_flags := $(call pkg,openblas,-lopenblas)

missing :=
ifeq ($(shell command -v $(firstword $(CC)) 2>/dev/null),)
missing += gcc
else
ifneq ($(call probe,zlib.h,$(zlib_flags)),yes)
missing += zlib1g-dev
endif
ifneq ($(call probe,yaml.h,$(yaml_flags)),yes)
missing += libyaml-dev
endif
ifneq ($(call probe,cblas.h,$(blas_flags)),yes)
missing += libopenblas-dev
endif
ifneq ($(call probe,omp.h,-fopenmp),yes)
missing += libgomp1
endif
endif
ifneq ($(strip $(missing)),)
$(error not found: $(strip $(missing)). Get it with `scripts/deps.sh` or `apt-get install $(strip $(missing))`)
endif

found_cflags := -fopenmp $(filter -I%,$(zlib_flags) $(yaml_flags) $(blas_flags))
found_libs := $(filter -L%,$(blas_flags)) $(filter-out -I%,$(zlib_flags) $(yaml_flags)) \
              $(filter-out -I% -L%,$(blas_flags))
found_ldflags := -fopenmp
found_nvcc_flags :=

# MPI: any implementation with an mpicc; needed only for runs on several processes.
mpicc := $(shell command -v mpicc 2>/dev/null)
have_mpi :=
ifneq ($(MPI),0)
ifneq ($(and $(mpicc),$(strip $(parallel_src))),)
mpi_compile := $(shell mpicc --showme:compile 2>/dev/null || mpicc -compile_info 2>/dev/null | cut -d' ' -f2-)
mpi_link := $(shell mpicc --showme:link 2>/dev/null || mpicc -link_info 2>/dev/null | cut -d' ' -f2-)
have_mpi := $(call probe,mpi.h,$(mpi_compile) $(mpi_link))
endif
ifeq ($(MPI)$(have_mpi),1)
$(error MPI=1, but $(if $(strip $(parallel_src)),no working mpicc was found: `apt-get install libopenmpi-dev \
  openmpi-bin`,there is nothing in src/parallel/ to compile))
endif
endif
ifneq ($(have_mpi),)
found_cflags += -DHAVE_MPI $(patsubst -I%,-isystem %,$(filter -I%,$(mpi_compile)))
found_libs += $(mpi_link)
mpi_report := $(mpicc)
else
mpi_report := $(if $(filter 0,$(MPI)),left out (MPI=0),$(if $(mpicc),$(mpicc) found; nothing in src/parallel/ \
                to compile,not found (for runs on several processes: apt-get install libopenmpi-dev openmpi-bin)))
endif

# CUDA: nvcc on PATH, or in CUDA_HOME, or in /usr/local/cuda.
have_cuda :=
nvcc_path := $(firstword $(shell command -v nvcc 2>/dev/null) \
               $(wildcard $(CUDA_HOME)/bin/nvcc /usr/local/cuda/bin/nvcc))
ifneq ($(CUDA),0)
ifneq ($(nvcc_path),)
NVCC := $(nvcc_path)
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(realpath $(nvcc_path)))
ifneq ($(strip $(cuda_src)),)
have_cuda := yes
endif
endif
ifeq ($(CUDA)$(have_cuda),1)
$(error CUDA=1, but $(if $(nvcc_path),there are no CUDA sources to build,nvcc was not found on PATH or in \
  /usr/local/cuda: install the CUDA toolkit or give CUDA_HOME=DIR))
endif
endif
ifneq ($(have_cuda),)
# The GPU of this machine, or all that are supported with code for later ones; CUDA_ARCH="80 90a" chooses.
ifeq ($(strip $(CUDA_ARCH)),)
own_arch := $(subst .,,$(shell nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | \
              grep '^[0-9.]*$$' | sort -u))
CUDA_ARCH := $(if $(own_arch),$(patsubst 90,90a,$(own_arch)),80 86 89 90a ptx)
endif
cuda_arch = $(foreach a,$(CUDA_ARCH),-gencode $(if $(filter ptx,$(a)),arch=compute_80$(comma)code=compute_80,\
  arch=compute_$(a)$(comma)code=sm_$(a)))
found_cflags += -DHAVE_CUDA
found_libs += -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 -lcublasLt -lcublas -lcudart_static -ldl -lrt -lstdc++
cuda_report := $(nvcc_path)
else ifeq ($(CUDA),0)
cuda_report := left out (CUDA=0)
else ifneq ($(nvcc_path),)
cuda_report := $(nvcc_path) found; nothing in cuda/ to compile, the program runs on the CPU
else
cuda_report := nvcc not found on PATH or in /usr/local/cuda, the program runs on the CPU
endif

# NCCL: for one target on GPUs that do not reach each other's memory, so only with both. In NCCL_HOME, CUDA_HOME or
# where the compiler looks (CPATH and LIBRARY_PATH); a Python wheel has the library without its plain name.
have_nccl :=
ifneq ($(and $(have_cuda),$(have_mpi)),)
nccl_dirs := $(foreach d,$(NCCL_HOME) $(CUDA_HOME),-L$(d)/lib64 -L$(d)/lib)
nccl_include := $(addprefix -isystem ,$(addsuffix /include,$(NCCL_HOME) $(CUDA_HOME)))
nccl_link := $(firstword $(foreach l,-lnccl -l:libnccl.so.2,$(if $(filter yes,$(call probe,nccl.h,\
               $(nccl_include) $(nccl_dirs) $(l))),$(l))))
ifneq ($(nccl_link),)
have_nccl := yes
nccl_found := $(filter /%,$(foreach f,libnccl.so libnccl.so.2,$(shell $(CC) -print-file-name=$(f))))
found_cflags += -DHAVE_NCCL
found_nvcc_flags += $(nccl_include)
found_libs += $(nccl_dirs) $(addprefix -Wl$(comma)-rpath$(comma),$(sort $(patsubst -L%,%,$(nccl_dirs)) \
                $(patsubst %/,%,$(dir $(nccl_found))))) $(nccl_link)
nccl_report := found
else
nccl_report := not found, one target uses GPUs of one host only (apt-get install libnccl-dev, or NCCL_HOME=DIR)
endif
endif

# Once per make, not again in the makes that it starts.
ifeq ($(MAKELEVEL)$(MAKE_RESTARTS),0)
$(info zlib, libyaml, OpenBLAS, OpenMP: found)
$(info MPI:  $(mpi_report))
$(info CUDA: $(cuda_report))
ifneq ($(nccl_report),)
$(info NCCL: $(nccl_report))
endif
endif
