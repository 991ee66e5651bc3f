# Reference numbers for spatial residuals: Rscript make.R DATA_DIR > nlme.json, with the package's BodyWeight.csv and Oxboys.csv in
# DATA_DIR and wheat2.csv beside this file. Optimisers run to tight tolerances; the best of several starts counts.
library(nlme)
options(digits = 15)
dir <- commandArgs(TRUE)[1]
bw <- read.csv(file.path(dir, "BodyWeight.csv"))
bw$Diet <- factor(bw$Diet); bw$Rat <- factor(bw$Rat)
ox <- read.csv(file.path(dir, "Oxboys.csv")); ox$Subject <- factor(ox$Subject)
wh <- read.csv("wheat2.csv"); wh$variety <- factor(wh$variety)
wh$Block <- factor(wh$Block)
tight <- function(...) glsControl(tolerance = 1e-12, msTol = 1e-14, maxIter = 500, msMaxIter = 2000, ...)
best <- function(formula, data, method, makers) {
  fits <- lapply(makers, function(cor) lapply(c("nlminb", "optim"), function(o)
    tryCatch(gls(formula, data, correlation = cor, method = method, control = tight(opt = o)), error = function(e) NULL)))
  fits <- Filter(Negate(is.null), unlist(fits, recursive = FALSE))
  fits[[which.max(sapply(fits, logLik))]]
}
out <- list()
note <- function(name, call, f) {
  out[[name]] <<- list(call = call, logLik = as.numeric(logLik(f)), sigma = f$sigma,
    cor = as.numeric(coef(f$modelStruct$corStruct, unconstrained = FALSE)),
    coef = as.numeric(coef(f)), se = as.numeric(sqrt(diag(vcov(f)))))
}
cases <- list(
  bodyweight_exp = list("weight ~ Diet * Time", bw, "REML", corExp, ~Time | Rat, FALSE, c(10, 60)),
  bodyweight_exp_nugget_ml = list("weight ~ Diet * Time", bw, "ML", corExp, ~Time | Rat, TRUE, c(20, 200)),
  bodyweight_ratio_nugget = list("weight ~ Diet * Time", bw, "REML", corRatio, ~Time | Rat, TRUE, c(20, 80)),
  bodyweight_lin_ml = list("weight ~ Diet * Time", bw, "ML", corLin, ~Time | Rat, FALSE, c(70, 400)),
  oxboys_gaus_nugget = list("height ~ age", ox, "REML", corGaus, ~age | Subject, TRUE, c(1, 5)),
  oxboys_spher = list("height ~ age", ox, "ML", corSpher, ~age | Subject, FALSE, c(3, 30)),
  wheat2_blocks_exp = list("yield ~ variety", wh, "REML", corExp, ~latitude + longitude | Block, FALSE, c(3, 10)),
  wheat2_blocks_ratio_ml = list("yield ~ 1", wh, "ML", corRatio, ~latitude + longitude | Block, TRUE, c(5, 12)),
  wheat2_spher_ml = list("yield ~ 1", wh, "ML", corSpher, ~latitude + longitude, TRUE, c(15, 30)),
  wheat2_exp_nonug = list("yield ~ variety - 1", wh, "REML", corExp, ~latitude + longitude, FALSE, c(5)),
  wheat2_gaus = list("yield ~ variety - 1", wh, "REML", corGaus, ~latitude + longitude, TRUE, c(10)),
  wheat2_ratio = list("yield ~ variety - 1", wh, "REML", corRatio, ~latitude + longitude, TRUE, c(13)),
  wheat2_spher = list("yield ~ variety - 1", wh, "REML", corSpher, ~latitude + longitude, TRUE, c(28)))
for (name in names(cases)) {
  k <- cases[[name]]
  makers <- lapply(k[[7]], function(r) k[[4]](if (k[[6]]) c(r, 0.2) else r, form = k[[5]], nugget = k[[6]]))
  note(name, paste0("gls(", k[[1]], ", method = '", k[[3]], "')"), best(as.formula(k[[1]]), k[[2]], k[[3]], makers))
}
f <- gls(yield ~ variety - 1, wh, correlation = corSpher(c(28, 0.2), form = ~latitude + longitude, nugget = TRUE), control = tight())
bins <- function(v) list(variog = v$variog, dist = v$dist, n = as.integer(v$n.pairs))
out$variogram <- bins(Variogram(f, form = ~latitude + longitude))
out$variogram_robust <- bins(Variogram(f, form = ~latitude + longitude, robust = TRUE))
out$variogram_fixed <- bins(Variogram(f, form = ~latitude + longitude, collapse = "fixed", maxDist = 30))
out$variogram_model <- list(variog = attr(Variogram(f, form = ~latitude + longitude), "modelVariog")$variog,
  dist = attr(Variogram(f, form = ~latitude + longitude), "modelVariog")$dist)
ob <- gls(weight ~ Diet * Time, bw, correlation = corAR1(form = ~1 | Rat), control = tight())
a <- ACF(ob, form = ~1 | Rat)
out$acf <- list(lag = a$lag, acf = a$ACF, n = attr(a, "n.used"), phi = as.numeric(coef(ob$modelStruct$corStruct, unconstrained = FALSE)))
json <- function(x) if (is.list(x)) paste0("{", paste0('"', names(x), '": ', sapply(x, json), collapse = ", "), "}") else
  if (is.character(x)) paste0('"', x, '"') else if (length(x) == 1) format(x, digits = 15) else
  paste0("[", paste(format(x, digits = 15, trim = TRUE), collapse = ", "), "]")
cat("{\n", paste0('"', names(out), '": ', sapply(out, json), collapse = ",\n"), "\n}\n", sep = "")
