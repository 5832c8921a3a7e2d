/*
 * By which names this server may be asked for.  Where no token is needed, a page that is open in a browser of
 * this machine could give its own name our address (DNS rebinding), and would then be let talk to us by the
 * browser: its name in Host is what tells it from ours.
 */
#ifndef CMD_SERVE_HOST_H
#define CMD_SERVE_HOST_H

#include "base/opt.h"
#include "policy/settings.h"

/*
 * Whether a Host field, with or without a port, is an address, localhost or a name below it, a name of this
 * machine, one of server.hosts, or one that is listened on (listen: those of the command line).  NULL, no
 * field, is what no browser sends.
 */
bool serve_host_is_ours(const struct settings *settings, const struct opt_list *listen,
    const char *field);

#endif
