#include "smtp/fault.h"

const char *smtp_fault_name(enum smtp_fault_class class)
{
	switch (class) {
	case SMTP_FAULT_CONFIG:
		return "config";
	case SMTP_FAULT_RESOLVE:
		return "resolve";
	case SMTP_FAULT_CONNECT:
		return "connect";
	case SMTP_FAULT_TLS:
		return "tls";
	case SMTP_FAULT_AUTH:
		return "auth";
	case SMTP_FAULT_GREETING:
		return "greeting";
	case SMTP_FAULT_PROTOCOL:
		return "protocol";
	case SMTP_FAULT_TIMEOUT:
		return "timeout";
	}
	return "unknown";
}
