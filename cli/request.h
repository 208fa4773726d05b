/* What several subcommands ask for in the same words: a kernel (spec, types, direction) and a shape. */
#ifndef AT_CLI_REQUEST_H
#define AT_CLI_REQUEST_H

#include "command.h"

enum { CLI_GRADIENTS_MAX = 8, CLI_RANK_MAX = 8 };

typedef enum cli_tensor_layout { CLI_LAYOUT_NONE, CLI_LAYOUT_NCHW, CLI_LAYOUT_NHWC, CLI_LAYOUT_ROWS } cli_tensor_layout;

typedef struct cli_request {
    const char *spec;
    actune_dtype dtype_in, dtype_out;
    bool dtype_given, dtype_pair; /* pair: as in:out */
    bool forward, backward; /* --direction; both false: the command's own default */
    cli_tensor_layout layout;
    int64_t dim[CLI_RANK_MAX];
    int rank; /* 0: no --shape */
    const char *gradient[CLI_GRADIENTS_MAX];
    int gradients;
    bool json;
    const char *database, *device; /* device NULL: cpu */
} cli_request;

/* Child parsers for a command's own argp; the child's input is a cli_request. */
extern const struct argp cli_kernel_argp; /* SPEC --dtype --backward --direction --grad */
extern const struct argp cli_shape_argp;  /* --layout --shape */
extern const struct argp cli_device_argp; /* --device */
extern const struct argp cli_common_argp; /* --json --db */

/* Kernels of several passes are tuned, generated and measured pass by pass. */
int cli_passes(const at_kernel *kernel);
const at_kernel *cli_pass(const at_kernel *kernel, int index);

void cli_request_init(cli_request *request);
/* What the pipeline gives: with one type alone, that of a quantize at its end. */
actune_dtype cli_dtype_out(const cli_request *request, const at_spec *spec);
/* Parses and lowers one direction. The caller clears `kernel`. */
actune_status cli_lower(const cli_request *request, actune_direction direction, at_kernel *kernel);

bool cli_layout_find(const char *name, cli_tensor_layout *layout);
/* "1x64x56x56" or "1,64,56,56"; false when it is no shape. */
bool cli_parse_dims(const char *text, int64_t *dim, int *rank);
/* Dimensions to [outer, channels, inner]. Without per-channel operands the layout does not matter; with them, three and more axes
   need one. INVALID_ARGUMENT says so. */
actune_status cli_shape_of_x(const int64_t *dim, int rank, cli_tensor_layout layout, const at_signature *signature, actune_shape *shape);
/* The same as the shape that kernels run in (at_shape_of). */
actune_status cli_shape(const int64_t *dim, int rank, cli_tensor_layout layout, const at_signature *signature, actune_shape *shape);
/* INVALID_ARGUMENT where the output cannot take the input's place. */
actune_status cli_in_place(const at_kernel *kernel);
/* "16K,256K,4M" to size[0..count); false when a part is no number or there are more than `most`. Changes `text`. */
bool cli_parse_sizes(char *text, int64_t *size, int most, int *count);
/* An output of about `elements`: flat, or where there are per-channel operands or halves rows of `channels` (one image of them where each has
   operands of its own). */
actune_shape cli_shape_of_size(int64_t elements, int64_t channels, const at_signature *signature);
/* "f32" or "f32:f16". */
bool cli_parse_dtypes(const char *text, actune_dtype *in, actune_dtype *out);

#endif
