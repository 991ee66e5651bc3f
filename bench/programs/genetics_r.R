# sommer (mmer and mmec), LMMsolver, pedigreemm and rrBLUP on the data of bench/genetics.py, timed as genetics_clock.py does it.
#   Rscript genetics_r.R JOB.json, with the packages in the library of the environment variable HENDERSON_BENCH_R
# The relationship is made by the program's own tool or by nadiv::makeAinv, in the clock but apart from the fit; the dense A that
# mmer asks for is given to it, read outside the clock.
options(warn = -1)
if (nzchar(Sys.getenv("HENDERSON_BENCH_R"))) .libPaths(c(Sys.getenv("HENDERSON_BENCH_R"), .libPaths()))
suppressMessages({library(jsonlite); library(Matrix)})
job <- fromJSON(commandArgs(trailingOnly = TRUE)[1])
program <- job$variant
task <- job$task
about <- fromJSON(file.path(job$folder, "about.json"))
at <- function(name) file.path(job$folder, name)
rows <- read.csv(at("records.csv"), stringsAsFactors = TRUE)
ids <- if (file.exists(at("ids.txt"))) readLines(at("ids.txt"))
pedigree <- if (file.exists(at("pedigree.csv"))) read.csv(at("pedigree.csv"), na.strings = "", colClasses = "character")

failed <- function(why) stop(structure(class = c("cannot", "error", "condition"), list(message = why, call = NULL)))
dense <- function() {
  q <- length(ids)
  matrix(readBin(at("k.bin"), "double", q * q), q, dimnames = list(ids, ids))
}
marker_matrix <- function() {
  m <- about$markers
  x <- readBin(at("markers.bin"), "integer", length(ids) * m, size = 1, signed = FALSE)
  matrix(x, length(ids), byrow = TRUE, dimnames = list(ids, NULL)) - 1
}
sparse <- function(k) as(as(as(k, "dMatrix"), "generalMatrix"), "CsparseMatrix")
ainverse <- function() {
  inverse <- sparse(nadiv::makeAinv(pedigree[, c("id", "dam", "sire")])$Ainv)
  dimnames(inverse) <- list(rownames(inverse), rownames(inverse))
  attr(inverse, "inverse") <- TRUE
  inverse
}
lower <- function(name, s) {
  m <- nrow(s)
  gap <- if (m > 9) "_" else ""
  out <- list()
  for (i in 1:m) for (j in 1:i) out[[paste0(name, "_", i, gap, j)]] <- s[i, j]
  out
}
BLEND <- 0.01  # what makes G invertible; with one record an individual it only moves variance to the residual

# ---- sommer::mmer: direct inversion of V, dense K
mmer_given <- function() if (task == "gblup") marker_matrix() else if (task != "field") dense()
mmer_relate <- function(x) if (task == "gblup") sommer::A.mat(x) else x
mmer_fit <- function(K) {
  quiet <- function(...) sommer::mmer(..., data = rows, verbose = FALSE, dateWarning = FALSE)
  if (task == "animal") {
    fit <- quiet(y ~ sex, random = ~ sommer::vsr(animal, Gu = K), rcov = ~ units)
    list(animal = fit$sigma[[1]][1], residual = fit$sigma[[2]][1])
  } else if (task == "bivariate") {
    fit <- quiet(cbind(y1, y2) ~ sex, random = ~ sommer::vsr(animal, Gu = K), rcov = ~ sommer::vsr(units))
    c(lower("genetic", fit$sigma[[1]]), lower("residual", fit$sigma[[2]]))
  } else if (task == "gblup") {
    fit <- quiet(y ~ 1, random = ~ sommer::vsr(id, Gu = K), rcov = ~ units)
    list(genomic = fit$sigma[[1]][1], residual = fit$sigma[[2]][1])
  } else if (task == "field") failed("the correlations of AR1 are given, not estimated")
  else if (task == "maternal") failed("no covariance between two terms (mmec has it)")
  else failed("no factor-analytic structure (mmec has it, in two steps)")
}

# ---- sommer::mmec: Henderson's equations, K^-1
mmec_given <- function() if (task == "gblup") marker_matrix() else if (task == "met") dense()
mmec_relate <- function(x) {
  if (task == "field") return(NULL)
  if (!is.null(pedigree)) return(ainverse())
  if (task == "gblup") x <- sommer::A.mat(x) + diag(BLEND, nrow(x))
  inverse <- solve(x)
  dimnames(inverse) <- dimnames(x)
  inverse <- sparse(inverse)
  attr(inverse, "inverse") <- TRUE
  inverse
}
mmec_fit <- function(Ki) {
  quiet <- function(...) sommer::mmec(..., verbose = FALSE, dateWarning = FALSE)
  if (task == "animal") {
    fit <- quiet(y ~ sex, random = ~ vsc(isc(animal), Gu = Ki), rcov = ~ units, data = rows)
    list(animal = fit$theta[[1]][1], residual = fit$theta[[2]][1])
  } else if (task == "maternal") {  # all levels in one order: covc() takes the order of its first term for both
    rows <- transform(rows, animal = factor(animal, levels = colnames(Ki)), mother = factor(dam, levels = colnames(Ki)))
    fit <- quiet(y ~ sex, random = ~ covc(vsc(isc(animal), Gu = Ki), vsc(isc(mother), Gu = Ki)) + dam, rcov = ~ units,
      data = rows, nIters = 100)
    g <- fit$theta[[1]]
    list(direct = g[1, 1], covariance = g[1, 2], maternal = g[2, 2], dam = fit$theta[[2]][1], residual = fit$theta[[3]][1])
  } else if (task == "gblup") {
    fit <- quiet(y ~ 1, random = ~ vsc(isc(id), Gu = Ki), rcov = ~ units, data = rows)
    g <- fit$theta[[1]][1]
    list(genomic = g, residual = fit$theta[[2]][1] + BLEND * g)
  } else if (task == "met") {
    rows <- rows[order(rows$env), ]
    first <- quiet(y ~ env, random = ~ vsc(dsc(env), isc(geno), Gu = Ki), rcov = ~ vsc(dsc(env), isc(units)), data = rows, nIters = 50)
    H <<- first$uList[[1]]
    fit <- quiet(y ~ env, random = ~ vsc(usc(rrc(env, H = H, nPC = 2)), isc(geno), Gu = Ki) + vsc(dsc(env), isc(geno), Gu = Ki),
      rcov = ~ vsc(dsc(env), isc(units)), data = rows, nIters = 50)
    gamma <- with(rows, rrc(env, H = H, nPC = 2, returnGamma = TRUE))$Gamma
    g <- gamma %*% fit$theta[[1]] %*% t(gamma) + diag(diag(fit$theta[[2]]))
    r <- diag(fit$theta[[3]])
    c(lower("genetic", g), setNames(as.list(r), paste0("residual_", seq_along(r))))
  } else if (task == "field") failed("the correlations of AR1 are given, not estimated")
  else failed("no residual covariance between traits")
}

# ---- LMMsolver: sparse precision matrices. It takes the rows of K^-1 of the individuals with records, so it is given the inverse
# of their part of A, which is dense.
lmmsolver_given <- function() if (task == "gblup") marker_matrix() else if (task == "animal") dense()
lmmsolver_relate <- function(x) {
  if (task == "gblup") {  # it has no tool for G
    w <- scale(x + 1, scale = FALSE)
    p <- colMeans(x + 1) / 2
    k <- tcrossprod(w) / (2 * sum(p * (1 - p))) + diag(BLEND, nrow(x))
  } else if (task == "animal") k <- x[levels(rows$animal), levels(rows$animal)]
  else failed(c(bivariate = "one trait", maternal = "no covariance between two terms", field = "P-splines, no AR1",
    met = "no factor-analytic structure")[[task]])
  inverse <- chol2inv(chol(k))
  dimnames(inverse) <- dimnames(k)
  LMMsolver::as.ginverse(setNames(list(sparse(inverse)), if (task == "animal") "animal" else "id"))
}
lmmsolver_fit <- function(Ki) {
  name <- if (task == "animal") "animal" else "id"
  fit <- LMMsolver::LMMsolve(if (task == "animal") y ~ sex else y ~ 1, random = as.formula(paste("~", name)), ginverse = Ki, data = rows)
  v <- setNames(fit$VarDf$Variance, fit$VarDf$VarComp)
  if (task == "animal") list(animal = v[[name]], residual = v[["residual"]])
  else list(genomic = v[[name]], residual = v[["residual"]] + BLEND * v[[name]])
}

# ---- pedigreemm: lme4 with the factor of A
pedigreemm_given <- function() NULL
pedigreemm_relate <- function(x) {
  if (is.null(pedigree)) failed("pedigrees only")
  if (task != "animal") failed("one trait, no covariance between terms")
  with(pedigree, pedigreemm::pedigree(sire = sire, dam = dam, label = id))
}
pedigreemm_fit <- function(P) {
  free <- lme4::lmerControl(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nobs.vs.rankZ = "ignore")
  fit <- pedigreemm::pedigreemm(y ~ sex + (1 | animal), pedigree = list(animal = P), data = rows, control = free)
  v <- as.data.frame(lme4::VarCorr(fit))$vcov
  lme4::ranef(fit, condVar = FALSE)
  list(animal = v[1], residual = v[2])
}

# ---- rrBLUP::mixed.solve: one eigendecomposition, one K
rrblup_given <- function() if (task == "gblup") marker_matrix() else if (task == "animal") dense()
rrblup_relate <- function(x) if (task == "gblup") rrBLUP::A.mat(x) else x
rrblup_fit <- function(K) {
  if (!task %in% c("gblup", "animal")) failed("one variance besides the residual's")
  if (task == "gblup") fit <- rrBLUP::mixed.solve(rows$y, K = K, SE = TRUE)
  else fit <- rrBLUP::mixed.solve(rows$y, Z = 1 * outer(as.character(rows$animal), ids, "=="), K = K, X = model.matrix(~ sex, rows), SE = TRUE)
  setNames(list(fit$Vu, fit$Ve), c(if (task == "gblup") "genomic" else "animal", "residual"))
}

clock <- function() proc.time()[["elapsed"]]
given <- get(paste0(program, "_given"))()
invisible(gc())
try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE)  # the peak is that of the work, not of reading the data (Linux)
start <- clock()
suppressMessages(library(c(mmer = "sommer", mmec = "sommer", lmmsolver = "LMMsolver", pedigreemm = "pedigreemm", rrblup = "rrBLUP")[[program]],
  character.only = TRUE))
result <- list(import_s = clock() - start)
totals <- numeric()
measure <- function() {
  while (!length(totals) || (length(totals) <= job$repeats && sum(totals) + max(totals) < job$budget_s)) {
    start <- clock()
    relation <- get(paste0(program, "_relate"))(given)
    between <- clock()
    utils::capture.output(found <- get(paste0(program, "_fit"))(relation))
    end <- clock()
    totals <<- c(totals, end - start)
    if (length(totals) == 1) result <<- c(result, list(relationship_s = between - start, fit_s = end - between,
      first_s = end - start, components = found))
  }
}
tryCatch(measure(), error = function(e) result <<- list(failed = substr(conditionMessage(e), 1, 160)))
if (length(totals) > 1 && is.null(result$failed)) result$warm_s <- median(totals[-1])
status <- tryCatch(readLines("/proc/self/status"), error = function(e) character())
held <- grep("^VmHWM", status, value = TRUE)
if (length(held)) result$peak_mb <- as.numeric(gsub("[^0-9]", "", held)) / 1024
cat(toJSON(result, auto_unbox = TRUE, digits = 15), "\n")
