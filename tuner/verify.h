/* Verification: is a kernel function within its accuracy class, whatever the size, the alignment, the cut and the
   special values? Outputs are poisoned and stand between canaries. Compared are, with e the exact value and b the error
   allowed for it:
   - e is NaN and an input is NaN: the kernel must give NaN; e is NaN and no input is (infinity times 0): NaN or the
   limit;
   - e is infinite, or rounds to it: the same infinity; where e - b is still finite, the largest number may come;
   - the output has 8 bits: exactly the code that e is rounded to; where the boundary to the next code is within b, either of them;
   - e is finite: |kernel - e| <= b; going forward a zero must have e's sign where nothing is rounded or x is a zero;
   - a gradient that is not finite, times a factor that may underflow: anything;
   - sums: only of finite inputs, against long double, within 1e-6 of the sum of absolute terms (f64: 1e-13). */
#ifndef AT_TUNER_VERIFY_H
#define AT_TUNER_VERIFY_H

#include "../runtime/backend/cpu.h"
#include "../runtime/device.h"
#include "../runtime/launch.h"
#include "reference.h"

enum { AT_VERIFY_MARGIN_BYTES = 256 }; /* on both sides of each port: canaries that `run` may carry along */

typedef struct at_verify_report {
    bool passed, exhaustive; /* exhaustive: every x of a 16-bit type */
    double max_error_ulp; /* of the output's type, where the class bounds the error relative to the result (at most 64
                             ULP) */
    double max_error_absolute; /* where it is finite; sums are in neither */
    double max_share;          /* largest error / error allowed */
    int64_t compared;          /* values */
    char worst[256];           /* where max_share was reached: "x = 1.5: y = 1.35, exact 1.36, ..." */
    char detail[512];          /* the first failure, "" when passed */
} at_verify_report;

/* What is verified. function NULL: interpret. The pool may be NULL: no threads are used then. */
typedef struct at_verify_target {
    actune_kernel_fn function;
    void (*interpret)(const void *kernel, at_layout layout, const actune_slice *slice);
    const void *interpret_kernel;
    at_pool *pool;
    /* Another machine runs it: called with the ports of one case (the first output may be an input's memory) instead of the above. */
    actune_status (*run)(void *user, actune_shape shape, void *const *port);
    void *run_user;
    bool apart; /* the code promises that no two buffers overlap: not run in place */
} at_verify_target;

/* Runs the function on every case of the reference: aligned and misaligned by 1 to 3 elements, in slices cut at odd
   places, on threads, in place. A kernel that computes wrong is no error: report->passed is false. NO_MEMORY. */
actune_status at_verify(const at_reference *reference, const at_verify_target *target, at_verify_report *report);

/* One variant, from its knobs: generated, compiled for `device`, loaded. Release the binary when the target is done with. */
actune_status at_verify_build(at_cache *cache, const at_device *device, const at_kernel *kernel, at_layout layout,
                              const at_variant *variant, at_binary **binary, at_verify_target *target);
/* The same for one variant, from its knobs: generated, compiled for `device`, loaded, verified. Errors of these steps
   are returned. `kernel` is not approximated yet. */
actune_status at_verify_kernel(at_cache *cache, const at_device *device, const at_kernel *kernel, at_layout layout,
                               const at_variant *variant, at_verify_report *report);

#endif
