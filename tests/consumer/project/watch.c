/* What actune::monitor alone is enough for. Argument: the folder. */
#include <actune/monitor.h>

#include <stdio.h>

int main(int argc, char **argv)
{
    actune_monitor *monitor;
    if (argc != 2 || actune_monitor_open(argv[1], NULL, &monitor))
        return 1;
    return actune_monitor_scalar(monitor, "loss", 1, 0.5) || puts(actune_monitor_path(monitor)) < 0 || actune_monitor_close(monitor);
}
