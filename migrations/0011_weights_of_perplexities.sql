-- Which weights a revision has stands in the perplexities that it is linked with; nothing read it here.
DROP TABLE revision_weights;
