#include "api/client/commands.h"
#include "daemon/base/standard_files.h"

int main(int argc, char **argv)
{
    if (standard_files_reserve())
        return CLIENT_EXIT_ERROR; /* and nowhere to say why */
    return client_main(argc, argv);
}
