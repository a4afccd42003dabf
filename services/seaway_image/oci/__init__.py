"""Pure: images as OCI has them: digests, documents, manifests, configs, platforms."""
