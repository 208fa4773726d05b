/* What a quantised pipeline loses: the values that its codes stand for against those of the pipeline without quantize. */
#ifndef AT_CLI_QUANTISE_ERROR_H
#define AT_CLI_QUANTISE_ERROR_H

#include "request.h"

enum { QUANTISE_SAMPLES = 65536 };

typedef struct quantise_error {
    bool known;                 /* false: no quantize at the end, or its scale is an operand */
    double largest, mean_square; /* of the difference, over QUANTISE_SAMPLES normal numbers (deviation 2; of whole numbers 32 codes) */
    double sqnr_db;              /* signal to quantisation noise; infinite where nothing is lost */
} quantise_error;

actune_status cli_quantise_error(const char *text, actune_dtype in, quantise_error *error);

#endif
