/* Private to pass_approximate: whether f32 arithmetic with given vector functions stays inside a class. */
#ifndef AT_CODEGEN_JUDGE_H
#define AT_CODEGEN_JUDGE_H

#include "accuracy.h"

/* Largest error of `function` (one INPUT, one output), computed op by op in f32 with the functions of `form`, as a share of what
   the class allows; each function's result is taken to be off by the whole of its known error, up or down. Infinity when memory is out. */
double at_judge_calls(const at_graph *function, const char *form, at_accuracy accuracy, bool derivative);

#endif
