/* What actune::runtime alone is enough for. */
#include <actune/actune.h>

#include <stdio.h>

int main(void)
{
    return puts(actune_status_name(ACTUNE_NOT_FOUND)) < 0;
}
