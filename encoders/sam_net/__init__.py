"""SAM's networks: the image encoder around timm's, and the prompt decoder in the layout of the published weights.

decoder = SamDecoder.load(find_sam("vit_b"))
embedding = rendered_embedding(rendered_map, (width, height))  # or embed(SamEncoder.load(path), picture)
answer = decoder.masks(embedding, Prompts(points, labels), (width, height), multimask=True)
"""
