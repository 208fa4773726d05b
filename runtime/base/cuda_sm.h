/* What a streaming multiprocessor of each compute capability holds, and how many blocks of a kernel that is: no GPU is asked. */
#ifndef AT_BASE_CUDA_SM_H
#define AT_BASE_CUDA_SM_H

typedef struct at_cuda_sm {
    int arch;            /* 90 is compute capability 9.0 */
    int threads, blocks; /* resident on one SM */
    int shared_bytes;    /* of one SM */
    int block_shared_bytes; /* at most for one block, after an opt-in beyond 48 KiB */
    int reserved_bytes;  /* of shared memory, taken by the system from each block */
} at_cuda_sm;

/* The row of `arch`; the next lower one where it is unknown (a newer chip is not smaller); the oldest below them all. */
at_cuda_sm at_cuda_sm_get(int arch);

/* Blocks of `block` threads, each with `registers`, and `shared_bytes` a block, that fit on one SM at once; 0: none does.
   Unknown registers (-1) count as none. */
int at_cuda_resident_blocks(int arch, int block, int registers, int shared_bytes);

#endif
