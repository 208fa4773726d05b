#include "nearest.h"

#include <string.h>

enum { DISTANCE_MAX = 2, LENGTH_MAX = AT_NEAREST_LENGTH_MAX };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) from a to b, row by row. */
static int edit_distance(const char *a, const char *b)
{
    int rows[3][LENGTH_MAX + 1];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > LENGTH_MAX || b_length > LENGTH_MAX)
        return LENGTH_MAX;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (int)j;
    for (size_t i = 1; i <= a_length; i++) {
        int *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], earlier[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

void at_nearest_init(at_nearest *nearest, const char *wrong)
{
    *nearest = (at_nearest){.wrong = wrong, .distance = DISTANCE_MAX};
}

void at_nearest_consider(at_nearest *nearest, const char *name)
{
    int distance = edit_distance(nearest->wrong, name);
    /* Two edits in a short name make another name altogether. */
    if (distance > nearest->distance || (size_t)distance * 2 > strlen(name))
        return;
    if (distance < nearest->distance)
        nearest->count = 0;
    nearest->distance = distance;
    if (nearest->count < AT_NEAREST_MAX)
        strcpy(nearest->name[nearest->count++], name);
}

void at_nearest_print(const at_nearest *nearest, at_strbuf *out)
{
    for (int i = 0; i < nearest->count; i++)
        at_strbuf_printf(out, "%s'%s'",
                         i == 0                    ? "; did you mean "
                         : i + 1 == nearest->count ? " or "
                                                   : ", ",
                         nearest->name[i]);
    if (nearest->count)
        at_strbuf_char(out, '?');
}
