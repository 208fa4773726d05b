#include "activation.h"

#include "../runtime/base/number.h"
#include "builtins.h"
#include "requirement.h"
#include <pthread.h>
#include <string.h>

enum { BUILTINS_MAX = 256 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static at_activation table[BUILTINS_MAX];
static int count;
static at_arena names; /* kept for the life of the process, as the table is */

/* One word of "min_val=-1 alpha|negative_slope=0.01". */
static bool read_parameter(const char *word, size_t length, at_parameter *parameter)
{
    const char *equals = memchr(word, '=', length);
    size_t names_length = equals ? (size_t)(equals - word) : length;
    const char *bar = memchr(word, '|', names_length);
    size_t name_length = bar ? (size_t)(bar - word) : names_length;
    char *aliases = at_arena_strndup(&names, bar ? bar + 1 : "", bar ? names_length - name_length - 1 : 0);
    parameter->name = at_arena_strndup(&names, word, name_length);
    parameter->aliases = aliases;
    parameter->has_default = equals != NULL;
    for (char *at = aliases; at && (at = strchr(at, '|')) != NULL;)
        *at = ' ';
    if (!parameter->name || !aliases || !equals)
        return parameter->name && aliases;
    return at_number_parse(equals + 1, length - names_length - 1, &parameter->default_value) == AT_NUMBER_OK;
}

/* The texts come from our own build: what does not read back is left out, and a test counts them. */
static bool read_builtin(const at_builtin *builtin, at_activation *a)
{
    *a = (at_activation){.name = builtin->name, .formula = builtin->formula, .aliases = builtin->aliases, .requirements = builtin->requirements};
    for (const char *word = builtin->parameters; *word;) {
        size_t length = strcspn(word, " ");
        if (a->parameters == AT_PARAMETERS_MAX || !read_parameter(word, length, &a->parameter[a->parameters++]))
            return false;
        word += length + (word[length] == ' ');
    }
    return at_requirements_check(a, a->requirements) == ACTUNE_OK && at_graph_parse(builtin->graph, &a->graph) == ACTUNE_OK &&
           (!*builtin->gradient || at_graph_parse(builtin->gradient, &a->gradient) == ACTUNE_OK);
}

static void load(void)
{
    for (int i = 0; i < at_builtin_count && count < BUILTINS_MAX; i++)
        if (read_builtin(&at_builtins[i], &table[count]))
            count++;
        else {
            at_graph_clear(&table[count].graph);
            at_graph_clear(&table[count].gradient);
        }
}

int at_activation_count(void)
{
    pthread_once(&once, load);
    return count;
}

const at_activation *at_activation_get(int index)
{
    return index >= 0 && index < at_activation_count() ? &table[index] : NULL;
}

bool at_has_word(const char *words, const char *word, size_t length)
{
    for (; *words; words += strspn(words, " ")) {
        size_t here = strcspn(words, " ");
        if (length && here == length && !memcmp(words, word, length))
            return true;
        words += here;
    }
    return false;
}

const at_activation *at_activation_find(const char *name)
{
    for (int i = 0; i < at_activation_count(); i++)
        if (!strcmp(table[i].name, name) || at_has_word(table[i].aliases, name, strlen(name)))
            return &table[i];
    return NULL;
}
