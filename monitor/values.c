/* Scalars, histograms and texts. The plain forms (simple_value and histo without metadata) are the ones that every version of TensorBoard
   reads: old ones know no others, new ones give those without metadata their plugin, and would take a simple_value with
   metadata for a tensor that is missing. */
#include "values.h"
#include "json.h"
#include "monitor.h"

#include <stdlib.h>
#include <string.h>

enum { DT_STRING = 7 };

AtEvent__Value at_value_scalar(char *tag, double value)
{
    AtEvent__Value result = AT_EVENT__VALUE__INIT;
    result.tag = tag;
    result.value_case = AT_EVENT__VALUE__VALUE_SIMPLE_VALUE;
    result.simple_value = (float)value;
    return result;
}

AtEvent__Value at_value_histogram(char *tag, at_histogram *histogram, AtEvent__Histogram *proto)
{
    AtEvent__Value result = AT_EVENT__VALUE__INIT;
    AtEvent__Histogram empty = AT_EVENT__HISTOGRAM__INIT;
    *proto = empty;
    proto->min = histogram->min;
    proto->max = histogram->max;
    proto->num = histogram->num;
    proto->sum = histogram->sum;
    proto->sum_squares = histogram->sum_squares;
    proto->n_bucket_limit = proto->n_bucket = (size_t)histogram->buckets;
    proto->bucket_limit = histogram->limit;
    proto->bucket = histogram->bucket;
    result.tag = tag;
    result.value_case = AT_EVENT__VALUE__VALUE_HISTO;
    result.histo = proto;
    return result;
}

actune_status actune_monitor_scalar(actune_monitor *monitor, const char *tag, int64_t step, double value)
{
    AT_MONITOR_TRY(at_monitor_check_tag("a scalar's tag", tag));
    AtEvent__Value scalar = at_value_scalar((char *)tag, value);
    return at_monitor_add_values(monitor, step, (AtEvent__Value *[]){&scalar}, 1, NULL);
}

actune_status actune_monitor_histogram(actune_monitor *monitor, const char *tag, int64_t step, const double *values, int64_t count)
{
    AT_MONITOR_TRY(at_monitor_check_tag("a histogram's tag", tag));
    if (count < 0 || (count > 0 && !values))
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "the histogram %s has %lld values at %s", tag, (long long)count, values ? "an address" : "NULL");
    at_histogram histogram;
    AtEvent__Histogram proto;
    at_histogram_of(&histogram, values, count);
    AtEvent__Value value = at_value_histogram((char *)tag, &histogram, &proto);
    return at_monitor_add_values(monitor, step, (AtEvent__Value *[]){&value}, 1, NULL);
}

static actune_status add_text(actune_monitor *monitor, const char *tag, int64_t step, const char *text, const char *line)
{
    AtEvent__Plugin plugin = AT_EVENT__PLUGIN__INIT;
    AtEvent__Metadata metadata = AT_EVENT__METADATA__INIT;
    AtEvent__Tensor tensor = AT_EVENT__TENSOR__INIT;
    AtEvent__Value value = AT_EVENT__VALUE__INIT;
    ProtobufCBinaryData string = {strlen(text), (uint8_t *)text};
    plugin.plugin_name = "text";
    metadata.plugin_data = &plugin;
    tensor.dtype = DT_STRING;
    tensor.n_string_val = 1;
    tensor.string_val = &string;
    value.tag = (char *)tag;
    value.metadata = &metadata;
    value.value_case = AT_EVENT__VALUE__VALUE_TENSOR;
    value.tensor = &tensor;
    return at_monitor_add_values(monitor, step, (AtEvent__Value *[]){&value}, 1, line);
}

actune_status actune_monitor_text(actune_monitor *monitor, const char *tag, int64_t step, const char *text)
{
    AT_MONITOR_TRY(at_monitor_check_tag("a text's tag", tag));
    if (!text || !at_monitor_is_utf8(text))
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "the text %s is %s", tag, text ? "not UTF-8" : "NULL");
    return add_text(monitor, tag, step, text, NULL);
}

/* The text of the summary and the line of JSON are the same but for the layer's name in front. */
static void write_description(FILE *to, const actune_monitor_layer *d)
{
    fputs("\"spec\": ", to);
    at_json_string(to, d->spec);
    fputs(", \"device\": ", to);
    at_json_string(to, d->device);
    fprintf(to, ", \"in_place\": %s, \"training\": %s, \"is_input\": %s}", d->in_place ? "true" : "false", d->training ? "true" : "false",
            d->is_input ? "true" : "false");
}

actune_status actune_monitor_describe(actune_monitor *monitor, const char *layer, const actune_monitor_layer *d)
{
    AT_MONITOR_TRY(at_monitor_check_tag("a layer's name", layer));
    if (!d || (d->spec && !at_monitor_is_utf8(d->spec)) || (d->device && !at_monitor_is_utf8(d->device)))
        return at_monitor_fail(ACTUNE_INVALID_ARGUMENT, "the description of %s is %s", layer, d ? "not UTF-8" : "NULL");
    char *line = NULL, *tag = NULL;
    size_t length;
    actune_status status = ACTUNE_NO_MEMORY;
    FILE *to = open_memstream(&line, &length);
    size_t name = 0;
    if (to) {
        fputs("{\"layer\": ", to);
        at_json_string(to, layer);
        fputs(", ", to);
        fflush(to);
        name = length;
        write_description(to, d);
    }
    if (!to || fclose(to) || asprintf(&tag, "%s/layer", layer) < 0) {
        tag = NULL;
        status = at_monitor_fail(ACTUNE_NO_MEMORY, "no memory to describe %s", layer);
    } else {
        char *text = strdup(line + name - 1); /* the blank before becomes the brace */
        if (text)
            *text = '{';
        status = text ? add_text(monitor, tag, 0, text, line) : at_monitor_fail(ACTUNE_NO_MEMORY, "no memory to describe %s", layer);
        free(text);
    }
    free(tag);
    free(line);
    return status;
}
