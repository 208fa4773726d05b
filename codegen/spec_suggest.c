/* "did you mean": the known names nearest to a wrong one. */
#include "stages.h"

#include <string.h>

enum { NAME_MAX_LENGTH = 32, SUGGESTIONS_MAX = 3, DISTANCE_MAX = 2 };

typedef struct nearest {
    const char *wrong;
    int distance; /* of those in `name` */
    struct {
        const char *text;
        size_t length;
    } name[SUGGESTIONS_MAX];
    int names;
} nearest;

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Edit distance with insertion, deletion, replacement and swap of neighbours (optimal string alignment). */
static int edit_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int d[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH)
        return NAME_MAX_LENGTH;
    for (size_t i = 0; i <= a_length; i++)
        d[i][0] = (int)i;
    for (size_t j = 0; j <= b_length; j++)
        d[0][j] = (int)j;
    for (size_t i = 1; i <= a_length; i++)
        for (size_t j = 1; j <= b_length; j++) {
            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1);
            d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[a_length][b_length];
}

static void consider(nearest *best, const char *name, size_t length)
{
    int distance = edit_distance(best->wrong, strlen(best->wrong), name, length);
    /* A slip in a short name makes another name altogether. */
    if (distance > DISTANCE_MAX || distance * 2 > (int)length || distance > best->distance)
        return;
    if (distance < best->distance)
        best->names = 0;
    best->distance = distance;
    if (best->names == SUGGESTIONS_MAX)
        return;
    best->name[best->names].text = name;
    best->name[best->names].length = length;
    best->names++;
}

void at_stage_suggest(const char *name, at_strbuf *out)
{
    nearest best = {.wrong = name, .distance = DISTANCE_MAX};
    for (int i = 0; i < at_stage_form_count(); i++)
        consider(&best, at_stage_form_get(i)->name, strlen(at_stage_form_get(i)->name));
    for (int i = 0; i < at_activation_count(); i++) {
        const at_activation *activation = at_activation_get(i);
        consider(&best, activation->name, strlen(activation->name));
        for (const char *alias = activation->aliases; *alias;) {
            size_t length = strcspn(alias, " ");
            if (length)
                consider(&best, alias, length);
            alias += length + (alias[length] == ' ');
        }
    }
    if (!best.names) {
        at_strbuf_append(out, "; `actune ops` lists all stages");
        return;
    }
    at_strbuf_append(out, "; did you mean ");
    for (int i = 0; i < best.names; i++) {
        at_strbuf_append(out, i == 0 ? "'" : i + 1 == best.names ? " or '" : ", '");
        at_strbuf_append_n(out, best.name[i].text, best.name[i].length);
        at_strbuf_char(out, '\'');
    }
    at_strbuf_char(out, '?');
}
