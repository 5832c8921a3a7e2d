/* routes: prints the API's routes, "METHOD PATH OPERATION SCOPE" a line. */
#include <stdio.h>

#include "cmd/serve/serve.h"

int
main(void)
{
	static const char *const scopes[] = {
		[SERVE_OPEN] = "open",
		[SERVE_SEND] = "send",
		[SERVE_READ] = "read",
		[SERVE_ADMIN] = "admin",
	};

	for (const struct http_route *route = serve_routes; route->method != NULL; route++) {
		const struct serve_route_info *info = route->info;

		printf("%s %s %s %s\n", route->method, route->path, info->openapi,
		    scopes[info->scope]);
	}
	return 0;
}
