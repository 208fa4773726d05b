/* Dead channels over a window of steps: for each channel, for how many steps in a row it has been dead. */
#include "base/status.h"

#include <stdlib.h>

struct actune_window {
    int64_t channels, steps, added;
    int64_t dead_for[];
};

actune_status actune_window_create(int64_t channels, int64_t steps, actune_window **window)
{
    if (channels < 1 || steps < 1 || !window)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "a window has at least one channel and one step, not %lld and %lld", (long long)channels,
                       (long long)steps);
    size_t bytes;
    if (__builtin_mul_overflow((size_t)channels, sizeof(int64_t), &bytes) || bytes > SIZE_MAX / 2 ||
        !(*window = calloc(1, sizeof **window + bytes)))
        return at_fail(ACTUNE_NO_MEMORY, "no memory for a window of %lld channels", (long long)channels);
    (*window)->channels = channels;
    (*window)->steps = steps;
    return ACTUNE_OK;
}

void actune_window_destroy(actune_window *window)
{
    free(window);
}

actune_status actune_window_add(actune_window *window, actune_statistics *statistics)
{
    if (!window || !statistics || !statistics->channels || statistics->channel_count != window->channels)
        return at_fail(ACTUNE_INVALID_ARGUMENT, "the window has %lld channels, the statistics %lld: compute them per channel",
                       (long long)(window ? window->channels : 0),
                       (long long)(statistics && statistics->channels ? statistics->channel_count : 0));
    if (statistics->count > 0) {
        window->added++;
        for (int64_t c = 0; c < window->channels; c++) {
            const actune_statistics *channel = &statistics->channels[c];
            window->dead_for[c] = channel->nonpositive == channel->count ? window->dead_for[c] + 1 : 0;
        }
    }
    statistics->dead_channels = 0;
    statistics->window_steps = window->added >= window->steps ? window->steps : 0;
    for (int64_t c = 0; c < window->channels; c++)
        statistics->dead_channels += actune_window_is_dead(window, c);
    return ACTUNE_OK;
}

bool actune_window_is_dead(const actune_window *window, int64_t channel)
{
    return window && channel >= 0 && channel < window->channels && window->dead_for[channel] >= window->steps;
}
