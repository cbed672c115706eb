from .middleware import RetainMiddleware
