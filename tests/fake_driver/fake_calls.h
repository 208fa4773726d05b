/* Both fake libraries count their calls, can write them down and can be told to let one fail. A test finds these functions with dlsym, in
   each library its own; from outside a process it is done by variables (README.md). Any thread. */
#ifndef AT_TESTS_FAKE_CALLS_H
#define AT_TESTS_FAKE_CALLS_H

/* The nth call of `name` from now on (1: the next) returns `code`. nth 0: none does. */
void fake_fail(const char *name, int nth, int code);
/* Whether that call has been made. */
int fake_failed(void);
/* Counts this call; 0, or the code that it must return. */
int fake_count(const char *name);
/* All calls that were made so far: their names, NULL after the last, and how often. */
const char *fake_call_name(int index);
int fake_call_count(int index);

#endif
