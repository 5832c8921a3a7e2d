/* What needs no queue: is it there, its numbers, its documentation. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "cmd/serve/state.h"
#include "cmd/view/metrics.h"

#define HTML "text/html; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"
#define STYLE "text/css; charset=utf-8"

/* All that the pages load is from here; both put styles into the page as they go. */
#define DOCS_POLICY                                                                                \
	"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "                \
	"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "       \
	"form-action 'none'; frame-ancestors 'none'"
#define PLAIN_POLICY                                                                               \
	"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "              \
	"frame-ancestors 'none'"

/* ---- health and numbers ------------------------------------------------------------------------ */

void
serve_health(struct http_request *r, void *arg)
{
	(void)arg;
	http_reply_text(r, 200, "application/json", "{\"status\":\"ok\"}");
}

/* The numbers of this process: they begin again with each start. */
static int
add_own(struct serve *serve, struct buf *out)
{
	struct http_numbers n;

	http_server_numbers(serve->server, &n);
	return buf_addf(out,
	    "# HELP mailq_serve_connections Connections to this server that are open.\n"
	    "# TYPE mailq_serve_connections gauge\n"
	    "mailq_serve_connections %" PRIu64 "\n"
	    "# HELP mailq_serve_requests_total Requests that this server has answered since its "
	    "start.\n"
	    "# TYPE mailq_serve_requests_total counter\n"
	    "mailq_serve_requests_total %" PRIu64 "\n"
	    "# HELP mailq_serve_refused_connections_total Connections beyond a bound, since its "
	    "start.\n"
	    "# TYPE mailq_serve_refused_connections_total counter\n"
	    "mailq_serve_refused_connections_total %" PRIu64 "\n",
	    n.connections, n.requests, n.refused);
}

void
serve_metrics(struct http_request *r, void *arg)
{
	struct serve *serve = arg;
	const struct serve_config *config;
	struct spool *spool = serve_spool_get(serve, r);
	AUTO_BUF struct buf out = BUF_INIT(METRICS_MAX);
	struct err err = ERR_INIT;
	int result;

	if (spool == NULL)
		return;
	config = serve_config_get(serve);
	result = metrics_text(spool, &config->settings, &out, &err);
	serve_config_put(serve, config);
	serve_spool_put(serve, spool);
	if (result == 0 && add_own(serve, &out) == 0)
		http_reply(r, 200, METRICS_TYPE, &out);
	else
		serve_reply_err(r, &err);
}

/* ---- files ------------------------------------------------------------------------------------- */

/* Opens a file of ours: beside the program (bin/../share/mailq), else where it was to be installed. */
static int
open_shared(const char *name, struct stat *ret)
{
	char path[PATH_MAX + 200];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;
	int fd = -1;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash != NULL) {
		snprintf(slash, 200, "/../share/mailq/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (fd < 0) {
		snprintf(path, sizeof path, DATADIR "/mailq/%s", name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode))
		return fd;
	auto_close_fd(&fd);
	return -1;
}

static bool
is_installed(const char *name)
{
	struct stat st;
	AUTO_FD int fd = open_shared(name, &st);

	return fd >= 0;
}

static void
reply_shared(struct http_request *r, const char *name, const char *type)
{
	struct stat st;
	char tag[80];
	AUTO_FD int fd = open_shared(name, &st);

	if (fd < 0) {
		http_reply_detail(r, 404, "This file is not installed");
		return;
	}
	snprintf(tag, sizeof tag, "%llx-%llx-%llx", (unsigned long long)st.st_size,
	    (unsigned long long)st.st_mtim.tv_sec, (unsigned long long)st.st_ctim.tv_nsec);
	if (!http_not_modified(r, tag, NULL))
		http_reply_file(r, 200, type, take_fd(&fd), 0, (uint64_t)st.st_size);
}

void
serve_openapi(struct http_request *r, void *arg)
{
	(void)arg;
	reply_shared(r, "openapi.json", "application/json");
}

/* ---- the documentation's pages ----------------------------------------------------------------- */

/* Small ones of our own: the pages hold no scripts, so that their policy can forbid such. */
static const char swagger_script[] = "window.ui = SwaggerUIBundle({\n"
				     "  url: document.getElementById('ui').dataset.document,\n"
				     "  dom_id: '#ui',\n"
				     "  deepLinking: true,\n"
				     "  validatorUrl: null,\n"
				     "  defaultModelsExpandDepth: 0,\n"
				     "  requestSnippetsEnabled: true,\n"
				     "});\n";
static const char redoc_script[] =
    "const ui = document.getElementById('ui');\n"
    "Redoc.init(ui.dataset.document, { disableSearch: true, hideLoading: true }, ui);\n";
static const char page_style[] =
    ":root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }\n"
    "body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }\n"
    "h1 { font-size: 1.4rem; overflow-wrap: anywhere; }\n"
    "table { border-collapse: collapse; width: 100%; }\n"
    "th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; "
    "border-bottom: 1px solid #8884; overflow-wrap: anywhere; }\n"
    "th { white-space: nowrap; font-weight: 600; }\n"
    "pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .8rem; "
    "border: 1px solid #8884; }\n"
    "iframe { width: 100%; height: 32rem; border: 1px solid #8884; background: #fff; }\n";

/* What the pages load.  No name comes from a client. */
static const struct {
	const char *name; /* in the path */
	const char *type;
	const char *file; /* below share/mailq; NULL: text */
	const char *text;
} assets[] = {
	{ "swagger-ui.css", STYLE, "swagger-ui/swagger-ui.css", NULL },
	{ "swagger-ui-bundle.js", SCRIPT, "swagger-ui/swagger-ui-bundle.js", NULL },
	{ "redoc.standalone.js", SCRIPT, "redoc/redoc.standalone.js", NULL },
	{ "swagger.js", SCRIPT, NULL, swagger_script },
	{ "redoc.js", SCRIPT, NULL, redoc_script },
	{ "page.css", STYLE, NULL, page_style },
};

void
serve_asset(struct http_request *r, void *arg)
{
	const char *name = http_param(r, "name");

	(void)arg;
	for (size_t i = 0; i < sizeof assets / sizeof assets[0]; i++) {
		if (strcmp(assets[i].name, name) != 0)
			continue;
		if (assets[i].file != NULL) {
			reply_shared(r, assets[i].file, assets[i].type);
			return;
		}
		http_reply_text(r, 200, assets[i].type, assets[i].text);
		return;
	}
	http_reply_detail(r, 404, "Not Found");
}

#define HEAD                                                                                       \
	"<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"                  \
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"               \
	"<link rel=\"icon\" href=\"data:,\">\n"

/* Where the files are not installed: the API works all the same. */
static void
reply_missing(struct http_request *r, const char *root, const char *what, const char *package)
{
	struct buf page = BUF_INIT(4096);

	buf_addf(&page,
	    HEAD
	    "<title>mailq API</title>\n<link rel=\"stylesheet\" href=\"%sassets/page.css\">\n"
	    "</head>\n<body>\n<h1>%s is not installed</h1>\n"
	    "<p>This page is drawn by %s, whose files are not there. To get them, run this in the "
	    "source of mailq, then install it again:</p>\n<pre>make deps-docs\nmake\n"
	    "make install</pre>\n<p>They come from the npm package <code>%s</code>. The API itself "
	    "needs none of them, and its description is here: "
	    "<a href=\"%sopenapi.json\">openapi.json</a>.</p>\n</body>\n</html>\n",
	    root, what, what, package, root);
	http_page_headers(r, PLAIN_POLICY);
	http_reply(r, 200, HTML, &page);
}

/* What leads from a page to the root: "" or "../", whatever a proxy puts before all paths. */
static const char *
root_of(const struct http_request *r)
{
	return strncmp(http_path(r), "/api/", 5) == 0 ? "../" : "";
}

void
serve_swagger(struct http_request *r, void *arg)
{
	const char *root = root_of(r);
	struct buf page = BUF_INIT(4096);

	(void)arg;
	if (!is_installed("swagger-ui/swagger-ui-bundle.js")) {
		reply_missing(r, root, "Swagger UI", "swagger-ui-dist");
		return;
	}
	buf_addf(&page,
	    HEAD "<title>mailq API</title>\n<style>body { margin: 0 }</style>\n"
		 "<link rel=\"stylesheet\" href=\"%sassets/swagger-ui.css\">\n</head>\n<body>\n"
		 "<div id=\"ui\" data-document=\"%sopenapi.json\"></div>\n"
		 "<script src=\"%sassets/swagger-ui-bundle.js\"></script>\n"
		 "<script src=\"%sassets/swagger.js\"></script>\n</body>\n</html>\n",
	    root, root, root, root);
	http_page_headers(r, DOCS_POLICY);
	http_reply(r, 200, HTML, &page);
}

void
serve_redoc(struct http_request *r, void *arg)
{
	(void)arg;
	if (!is_installed("redoc/redoc.standalone.js")) {
		reply_missing(r, "", "ReDoc", "redoc");
		return;
	}
	http_page_headers(r, DOCS_POLICY);
	http_reply_text(r, 200, HTML,
	    HEAD "<title>mailq API</title>\n<style>body { margin: 0 }</style>\n</head>\n<body>\n"
		 "<div id=\"ui\" data-document=\"openapi.json\"></div>\n"
		 "<script src=\"assets/redoc.standalone.js\"></script>\n"
		 "<script src=\"assets/redoc.js\"></script>\n</body>\n</html>\n");
}
