"""The files of containers: copied in and out, exported, compared with the image, made into a layer."""
