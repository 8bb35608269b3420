/* SPDX-License-Identifier: Apache-2.0
 * geometry: frames, torsion angles and atoms of the structure module, pseudo beta, change of distances. Small kernels:
 * one residue is one thread (or one block of the distance change); what they cost is their launch.
 *
 * A frame is 12 floats: rotation row by row, translation. Everything is float32.
 *
 * Source: Jumper et al. 2021, Suppl. Alg. 23 to 25; AlphaFold model/quat_affine.py, all_atom.py, modules.py
 * (pseudo_beta_fn), modules_multimer.py (early stop). Reference: ops_cpu_geometry.c.
 */
#include "common.cuh"

namespace {

constexpr int n_group = 8;       /* rigid groups: backbone, pre-omega, phi, psi, chi1 to chi4 */
constexpr int n_angle = 7;
constexpr int n_atom14 = 14;
constexpr int n_atom37 = 37;
constexpr int atom_ca = 1;
constexpr int atom_cb = 3;
constexpr int glycine = 7;
constexpr int block_size = 64;

template <typename T>
__device__ __forceinline__ T *row_of(const ff_tensor &t, int64_t i)
{
    return (T *)t.data + i * t.stride[0];
}

/* --- backbone update --- */

__global__ void rigid_update_kernel(const __grid_constant__ ff_rigid_update_args a, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    float *frame = row_of<float>(a.out, i), *quat = row_of<float>(a.quat, i);
    const float *b = row_of<const float>(a.update, i), *u = b + 3;
    for (int d = 0; d < 3; d++)
        frame[9 + d] += frame[3 * d] * u[0] + frame[3 * d + 1] * u[1] + frame[3 * d + 2] * u[2];

    float q0 = quat[0], q1 = quat[1], q2 = quat[2], q3 = quat[3];
    float w = q0 - q1 * b[0] - q2 * b[1] - q3 * b[2];
    float x = q1 + q0 * b[0] + q2 * b[2] - q3 * b[1];
    float y = q2 + q0 * b[1] - q1 * b[2] + q3 * b[0];
    float z = q3 + q0 * b[2] + q1 * b[1] - q2 * b[0];
    float length = sqrtf(w * w + x * x + y * y + z * z);
    w /= length;
    x /= length;
    y /= length;
    z /= length;
    quat[0] = w;
    quat[1] = x;
    quat[2] = y;
    quat[3] = z;
    frame[0] = w * w + x * x - y * y - z * z;
    frame[1] = 2.0f * (x * y - w * z);
    frame[2] = 2.0f * (x * z + w * y);
    frame[3] = 2.0f * (x * y + w * z);
    frame[4] = w * w - x * x + y * y - z * z;
    frame[5] = 2.0f * (y * z - w * x);
    frame[6] = 2.0f * (x * z - w * y);
    frame[7] = 2.0f * (y * z + w * x);
    frame[8] = w * w - x * x - y * y + z * z;
}

/* --- torsion angles to atoms --- */

/* z = x o y: first y, then x; z is neither. */
__device__ void compose(float *z, const float *x, const float *y)
{
#pragma unroll
    for (int r = 0; r < 3; r++) {
#pragma unroll
        for (int c = 0; c < 3; c++)
            z[3 * r + c] = x[3 * r] * y[c] + x[3 * r + 1] * y[3 + c] + x[3 * r + 2] * y[6 + c];
        z[9 + r] = x[3 * r] * y[9] + x[3 * r + 1] * y[10] + x[3 * r + 2] * y[11] + x[9 + r];
    }
}

/* One thread makes one residue. The groups' frames lie in shared memory, [block_size][8 * 12 + 1]: which of them an
 * atom hangs on is known only at run time, so registers would spill. */
__global__ void atoms_from_angles_kernel(const __grid_constant__ ff_atoms_from_angles_args a, int64_t n)
{
    constexpr int pitch = n_group * 12 + 1;
    __shared__ float shared_frames[block_size * pitch];
    int64_t i = (int64_t)blockIdx.x * block_size + threadIdx.x;
    if (i >= n)
        return;
    float *groups = shared_frames + threadIdx.x * pitch;     /* [8, 12] */
    int64_t type = ((const int32_t *)a.aatype.data)[i * a.aatype.stride[0]];
    int64_t n_type = a.table_frame.shape[0];
    type = type < 0 || type >= n_type ? n_type - 1 : type;
    const float *defaults = (const float *)a.table_frame.data + type * n_group * 12;
    const int32_t *group = (const int32_t *)a.table_group.data + type * n_atom14;
    const float *position = (const float *)a.table_position.data + type * n_atom14 * 3;
    const int32_t *atom14 = (const int32_t *)a.table_atom14.data + type * n_atom37;
    const float *exists = (const float *)a.table_exists.data + type * n_atom37;
    const float *angles = row_of<const float>(a.angles, i);

    float backbone[12], chain[12];
#pragma unroll
    for (int k = 0; k < 12; k++) {
        float x = row_of<const float>(a.frame, i)[k];
        backbone[k] = k >= 9 ? x * a.scale : x;
    }
    {
        /* The backbone group's own default frame, as a rule the identity, belongs to it too. */
        float local[12], global[12];
#pragma unroll
        for (int k = 0; k < 12; k++)
            local[k] = defaults[k];
        compose(global, backbone, local);
#pragma unroll
        for (int k = 0; k < 12; k++)
            groups[k] = global[k];
    }
    for (int g = 1; g <= n_angle; g++) {
        float sine = angles[2 * (g - 1)], cosine = angles[2 * (g - 1) + 1];
        float length = sqrtf(fmaxf(sine * sine + cosine * cosine, 1e-12f));
        sine /= length;
        cosine /= length;
        float local[12], global[12];
#pragma unroll
        for (int k = 0; k < 12; k++)
            local[k] = defaults[g * 12 + k];
        /* then a rotation around x */
#pragma unroll
        for (int r = 0; r < 3; r++) {
            float y = local[3 * r + 1], z = local[3 * r + 2];
            local[3 * r + 1] = y * cosine + z * sine;
            local[3 * r + 2] = z * cosine - y * sine;
        }
        if (g >= 5) {                    /* chi2 to chi4 hang on the group before them */
            compose(global, chain, local);
#pragma unroll
            for (int k = 0; k < 12; k++)
                local[k] = global[k];
        }
#pragma unroll
        for (int k = 0; k < 12; k++)
            chain[k] = local[k];
        compose(global, backbone, local);
#pragma unroll
        for (int k = 0; k < 12; k++)
            groups[g * 12 + k] = global[k];
    }

    /* An atom of the dense order exists if an existing atom37 atom is stored there. */
    float *dense = a.atom14.ndim > 0 ? row_of<float>(a.atom14, i) : nullptr;
    if (dense)
        for (int k = 0; k < 3 * n_atom14; k++)
            dense[k] = 0.0f;
    float *out = row_of<float>(a.out, i);
    for (int k = 0; k < n_atom37; k++) {
        bool there = exists[k] != 0.0f;
        int to = there ? atom14[k] : 0;
        const float *f = groups + 12 * group[to], *p = position + 3 * to;
        for (int r = 0; r < 3; r++) {
            float x = f[3 * r] * p[0] + f[3 * r + 1] * p[1] + f[3 * r + 2] * p[2] + f[9 + r];
            out[3 * k + r] = there ? x : 0.0f;
            if (there && dense)
                dense[3 * to + r] = x;
        }
    }
}

/* --- pseudo beta --- */

__global__ void pseudo_beta_kernel(const __grid_constant__ ff_pseudo_beta_args a, int64_t n)
{
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    bool is_glycine = ((const int32_t *)a.aatype.data)[i * a.aatype.stride[0]] == glycine;
    const float *x = row_of<const float>(a.atoms, i) + (is_glycine ? atom_ca : atom_cb) * a.atoms.stride[1];
    float *out = row_of<float>(a.out, i);
    for (int d = 0; d < 3; d++)
        out[d] = x[d * a.atoms.stride[2]];
}

/* --- change of distances --- */

constexpr int change_threads = 256;

__device__ double block_sum(double x)
{
    __shared__ double part[change_threads / 32];
    for (int step = 16; step > 0; step >>= 1)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        part[threadIdx.x / 32] = x;
    __syncthreads();
    double sum = 0.0;
    for (int w = 0; w < change_threads / 32; w++)
        sum += part[w];
    return sum;
}

/* Block i: sums[i] = mask_i sum_j mask_j (|a_i - a_j| - |b_i - b_j|)^2, sums[n + i] = mask_i. Fixed order of additions,
 * so that the result is the same in every run. */
__global__ void change_row_kernel(const __grid_constant__ ff_distance_change_args a, int64_t n, double *sums)
{
    int64_t i = blockIdx.x;
    const float *ai = row_of<const float>(a.a, i) + atom_ca * a.a.stride[1];
    const float *bi = row_of<const float>(a.b, i) + atom_ca * a.b.stride[1];
    const float *mask = (const float *)a.mask.data;
    double sum = 0.0;
    for (int64_t j = threadIdx.x; j < n; j += change_threads) {
        const float *aj = row_of<const float>(a.a, j) + atom_ca * a.a.stride[1];
        const float *bj = row_of<const float>(a.b, j) + atom_ca * a.b.stride[1];
        float x = ai[0] - aj[0], y = ai[1] - aj[1], z = ai[2] - aj[2];
        float u = bi[0] - bj[0], v = bi[1] - bj[1], w = bi[2] - bj[2];
        float d = sqrtf(x * x + y * y + z * z) - sqrtf(u * u + v * v + w * w);
        sum += (double)(mask[j * a.mask.stride[0]] * d * d);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) {
        double own = (double)mask[i * a.mask.stride[0]];
        sums[i] = own * sum;
        sums[n + i] = own;
    }
}

__global__ void change_total_kernel(float *out, const double *sums, int64_t n)
{
    double square = 0.0, residues = 0.0;
    for (int64_t i = threadIdx.x; i < n; i += change_threads) {
        square += sums[i];
        residues += sums[n + i];
    }
    square = block_sum(square);
    residues = block_sum(residues);
    if (threadIdx.x == 0)
        *out = (float)sqrt(1e-8 + square / (1e-10 + residues * residues));
}

} // namespace

extern "C" void ff_cuda_rigid_update(struct ff_backend *be, const struct ff_rigid_update_args *a)
{
    int64_t n = a->out.shape[0];
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == 12);
    FF_ASSERT(a->quat.ndim == 2 && a->quat.shape[0] == n && a->quat.shape[1] == 4);
    FF_ASSERT(a->update.ndim == 2 && a->update.shape[0] == n && a->update.shape[1] == 6);
    rigid_update_kernel<<<ff_blocks(n, block_size), block_size, 0, ff_cuda_stream(be)>>>(*a, n);
    FF_CUDA_LAUNCHED();
}

extern "C" void ff_cuda_atoms_from_angles(struct ff_backend *be, const struct ff_atoms_from_angles_args *a)
{
    int64_t n = a->out.shape[0], types = a->table_frame.shape[0];
    FF_ASSERT(a->out.ndim == 3 && a->out.shape[1] == n_atom37 && a->out.shape[2] == 3 && a->out.stride[1] == 3);
    FF_ASSERT(a->atom14.ndim == 0 || (a->atom14.shape[0] == n && a->atom14.shape[1] == n_atom14 &&
                                      a->atom14.stride[1] == 3));
    FF_ASSERT(a->frame.shape[0] == n && a->frame.shape[1] == 12 && a->angles.shape[0] == n);
    FF_ASSERT(a->angles.shape[1] == 2 * n_angle && a->aatype.shape[0] == n && a->aatype.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_frame) == types * n_group * 12);
    FF_ASSERT(ff_tensor_count(&a->table_group) == types * n_atom14 && a->table_group.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_position) == types * n_atom14 * 3);
    FF_ASSERT(ff_tensor_count(&a->table_atom14) == types * n_atom37 && a->table_atom14.dtype == FF_I32);
    FF_ASSERT(ff_tensor_count(&a->table_exists) == types * n_atom37);
    unsigned blocks = ff_blocks(n, block_size);
    atoms_from_angles_kernel<<<blocks, block_size, 0, ff_cuda_stream(be)>>>(*a, n);
    FF_CUDA_LAUNCHED();
}

extern "C" void ff_cuda_pseudo_beta(struct ff_backend *be, const struct ff_pseudo_beta_args *a)
{
    int64_t n = a->out.shape[0];
    FF_ASSERT(a->out.ndim == 2 && a->out.shape[1] == 3 && a->aatype.shape[0] == n && a->aatype.dtype == FF_I32);
    FF_ASSERT(a->atoms.ndim == 3 && a->atoms.shape[0] == n && a->atoms.shape[1] > atom_cb && a->atoms.shape[2] == 3);
    pseudo_beta_kernel<<<ff_blocks(n, block_size), block_size, 0, ff_cuda_stream(be)>>>(*a, n);
    FF_CUDA_LAUNCHED();
}

extern "C" void ff_cuda_distance_change(struct ff_backend *be, const struct ff_distance_change_args *a)
{
    int64_t n = a->mask.shape[0];
    FF_ASSERT(ff_tensor_count(&a->out) == 1 && ff_tensor_same_shape(&a->a, &a->b));
    FF_ASSERT(a->a.ndim == 3 && a->a.shape[0] == n && a->a.shape[1] > atom_ca && a->a.shape[2] == 3);
    ff_cuda_mark mark(be);
    double *sums = ff_cuda_take<double>(be, 2 * n);              /* [2, n] */
    change_row_kernel<<<(unsigned)n, change_threads, 0, ff_cuda_stream(be)>>>(*a, n, sums);
    change_total_kernel<<<1, change_threads, 0, ff_cuda_stream(be)>>>((float *)a->out.data, sums, n);
    FF_CUDA_LAUNCHED();
}
