# Rscript make.R, in this folder: tails of max |t| to more digits than ptukey and pmvt's defaults have. Writes exact.json.
suppressMessages({library(mvtnorm); library(jsonlite)})

# Studentised range by nested adaptive quadrature of P(range > q s), from the distribution function (k int phi (Phi^(k-1) - ...)).
range_tail <- function(w, k) sapply(w, function(w) integrate(function(z) {
  all <- pnorm(z)^(k - 1); part <- pnorm(z - w) / pnorm(z)
  k * dnorm(z) * all * -expm1((k - 1) * log1p(-part))
}, -9, 9 + w, rel.tol = 1e-13, abs.tol = 0, subdivisions = 2000)$value)
tukey <- function(c, k, df) {
  q <- c * sqrt(2)
  if (is.infinite(df)) return(range_tail(q, k))
  g <- function(u) { s <- exp(u); exp(log(2) + df / 2 * log(df / 2) - lgamma(df / 2) + df * u - df * s^2 / 2) * range_tail(q * s, k) }
  peak <- 0.5 * log(df / (df + c^2)); sd <- 1 / sqrt(2 * df)
  edges <- sort(unique(c(peak + sd * seq(-40, 40, 4), sd * seq(-40, 40, 4))))
  edges <- edges[edges < 3]
  sum(mapply(function(a, b) integrate(g, a, b, rel.tol = 1e-11, abs.tol = 1e-18, subdivisions = 500)$value, head(edges, -1), edges[-1]))
}
ranges <- lapply(list(c(2.44161020369198, 3, 23), c(5.15293142585045, 3, 23), c(7.42763667963919, 3, 23), c(2, 10, 5), c(3, 4, 2), c(4, 50, 200),
                      c(1, 6, 12.5), c(12, 5, 9), c(2.2, 2.56155281280883, 23), c(3, 4, Inf), c(6, 8, Inf), c(5, 3, 1e5)),
  function(z) list(c = z[1], k = z[2], df = if (is.finite(z[3])) z[3] else "Inf", p = tukey(z[1], z[2], z[3])))

# Two and three comparisons: rectangles from TVPACK's one-sided distribution functions (to 1e-14) by inclusion and exclusion.
box <- function(c, R, df) {
  k <- nrow(R); signs <- as.matrix(expand.grid(rep(list(c(-1, 1)), k))); tv <- TVPACK(1e-14)
  inside <- sum(apply(signs, 1, function(s) prod(s) *
    (if (is.finite(df)) pmvt(rep(-Inf, k), s * c, df = df, corr = R, algorithm = tv) else pmvnorm(rep(-Inf, k), s * c, corr = R, algorithm = tv))))
  1 - inside
}
R3 <- matrix(c(1, .3, -.2, .3, 1, .6, -.2, .6, 1), 3); R2 <- matrix(c(1, .7, .7, 1), 2)
n <- c(8, 5, 6, 9); l <- sqrt(n[-1] / (n[-1] + n[1])); RD <- outer(l, l); diag(RD) <- 1
boxes <- list()
for (R in list(R2, R3, RD)) for (z in list(c(0.8, 4), c(2.1, 7), c(3.5, 12), c(2.3, Inf)))
  boxes <- c(boxes, list(list(correlation = R, c = z[1], df = if (is.finite(z[2])) z[2] else "Inf", p = box(z[1], R, z[2]))))

# All pairs of unequal groups: singular. Genz-Bretz with many points; its own estimate of its error with it.
pairs_of <- function(n) {
  k <- length(n); C <- NULL
  for (i in 1:(k - 1)) for (j in (i + 1):k) { v <- rep(0, k); v[i] <- 1; v[j] <- -1; C <- rbind(C, v) }
  C
}
set.seed(1)
families <- list()
for (n in list(c(3, 7, 12), c(3, 5, 7, 9), c(3, 4, 6, 8, 10))) {
  C <- pairs_of(n); R <- cov2cor(C %*% diag(1 / n) %*% t(C))
  for (z in list(c(2, 12), c(3, 12))) {
    p <- pmvt(rep(-z[1], nrow(R)), rep(z[1], nrow(R)), df = z[2], corr = R, algorithm = GenzBretz(maxpts = 5e7, abseps = 5e-7, releps = 0))
    families <- c(families, list(list(groups = n, c = z[1], df = z[2], p = 1 - as.numeric(p), error = attr(p, "error"))))
  }
}
dunnettx <- list(k = 4, df = 15, c = c(1, 2.3, 3.7), p = 1 - emmeans:::.pdunnx(c(1, 2.3, 3.7), 4, 15))
p <- c(.01, .02, .03, .04, .05, .2, .003, .8, .0301)
steps <- sapply(c("bonferroni", "holm", "hochberg", "hommel", "fdr", "BY"), function(m) p.adjust(p, m), simplify = FALSE)
writeLines(toJSON(list(witness = paste("R", getRversion(), "mvtnorm", packageVersion("mvtnorm"), "emmeans", packageVersion("emmeans")),
  ranges = ranges, boxes = boxes, families = families, dunnettx = dunnettx, single = p, steps = steps), digits = NA, auto_unbox = TRUE), "exact.json")
