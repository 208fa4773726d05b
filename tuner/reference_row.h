/* Which elements of a row the exact row operation keeps, and which may go either way. */
#ifndef AT_TUNER_REFERENCE_ROW_H
#define AT_TUNER_REFERENCE_ROW_H

#include "oracle.h"

typedef enum at_verdict { AT_DROPPED, AT_KEPT, AT_UNSURE } at_verdict;

/* The k largest of n keys by the rules of topk (codegen/ops.def). A key that is off by its error may stand elsewhere: an element is kept
   where fewer than k can come before it, dropped where k do in any case. verdict: n places. NO_MEMORY. */
actune_status at_row_judge(const at_expected *key, int64_t n, int64_t k, at_verdict *verdict);

#endif
